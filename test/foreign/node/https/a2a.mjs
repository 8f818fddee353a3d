// A2A cards, as the SDK verifies them.
import {AgentCard, verifyAgentCardSignature} from '@a2a-js/sdk';
import {check, equal, refused, scene} from '../check.mjs';

const url = `${scene.issuer}/agents/${scene.agent}/.well-known/agent-card.json`;
const verify = verifyAgentCardSignature(async (kid, jku) => {
  equal(jku, `${scene.issuer}/.well-known/did-jwks.json`);
  const {keys} = await (await fetch(jku)).json();
  return keys.find((key) => key.kid === kid);
});

async function card(from = url) {
  const response = await fetch(from);
  equal(response.status, 200);
  return response.json();
}

await check('the card as it came', async () => verify(await card()));
await check('the same as a format of the card', async () => verify(await card(`${scene.issuer}/api/v1/agents/${scene.agent}/did/card?format=a2a`)));
await check('the card after it was read by the SDK', async () => verify(AgentCard.toJSON(AgentCard.fromJSON(await card()))));
await check('the same 64 times: signatures differ', async () => {
  for (let i = 0; i < 64; i++) await verify(await card());
});
await check('a card that was changed', async () => {
  const changed = await card();
  changed.description += ' and more';
  await refused(() => verify(changed));
});
await check('a card with another DID in it', async () => {
  const changed = await card();
  changed.capabilities.extensions[0].params.did = scene.ownDid;
  await refused(() => verify(changed));
});
