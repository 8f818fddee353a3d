// DID documents, as did:web resolvers find them over https.
import {Resolver} from 'did-resolver';
import {getResolver} from 'web-did-resolver';
import {driver} from '@digitalbazaar/did-method-web';
import {CompactSign, SignJWT, compactVerify, exportJWK, generateKeyPair, importJWK} from 'jose';
import {check, equal, refused, scene, truthy} from '../check.mjs';

const resolver = new Resolver(getResolver());
const web = driver();
const host = scene.issuer.replace('https://', '').replace(':', '%3A');
const instance = `did:web:${host}`;

async function resolved(did) {
  const {didDocument, didResolutionMetadata} = await resolver.resolve(did);
  if (!didDocument) throw new Error(`${didResolutionMetadata.error}: ${didResolutionMetadata.message}`);
  return didDocument;
}

for (const [name, resolve] of [['web-did-resolver', resolved], ['did-method-web', (did) => web.get({did})]]) {
  await check(`${name}: an agent`, async () => {
    const document = await resolve(scene.did);
    equal(document.id, scene.did);
    equal(document.verificationMethod.map((method) => method.id), [`${scene.did}#key-1`]);
    equal(document.assertionMethod, [`${scene.did}#key-1`]);
    equal(document.agntcy.agentId, scene.agent);
  });
  await check(`${name}: the server itself`, async () => {
    const document = await resolve(instance);
    equal(document.id, instance);
    equal(document.controller, instance);
  });
  await check(`${name}: a decommissioned agent`, () => refused(() => resolve(scene.goneDid)));
  await check(`${name}: no such agent`, () => refused(() => resolve(`${instance}:agents:00000000-0000-7000-8000-000000000000`)));
}

await check('did-method-web: one method by its URL', async () => {
  const method = await web.get({did: `${scene.did}#key-1`});
  equal(method.type, 'JsonWebKey2020');
  equal(method.controller, scene.did);
});

await check('a key of the agent\'s own, and what it signs', async () => {
  const {publicKey, privateKey} = await generateKeyPair('ES256');
  const proof = await new SignJWT({}).setProtectedHeader({alg: 'ES256'}).setSubject(scene.ownDid).setAudience(scene.issuer)
    .setIssuedAt().setExpirationTime('4m').setJti(crypto.randomUUID()).sign(privateKey);
  const response = await fetch(`${scene.issuer}/api/v1/agents/${scene.own}/did/keys`, {
    method: 'POST',
    headers: {authorization: `Bearer ${scene.operator}`, 'content-type': 'application/json'},
    body: JSON.stringify({publicKeyJwk: await exportJWK(publicKey), proof}),
  });
  equal(response.status, 201, await response.clone().text());
  const signed = await new CompactSign(Buffer.from('hello')).setProtectedHeader({alg: 'ES256', kid: `${scene.ownDid}#key-2`}).sign(privateKey);
  const method = (await resolved(scene.ownDid)).verificationMethod.find(({id}) => id === `${scene.ownDid}#key-2`);
  truthy(method, 'the method in the document');
  const {payload} = await compactVerify(signed, await importJWK(method.publicKeyJwk, 'ES256'));
  equal(Buffer.from(payload).toString(), 'hello');
});
