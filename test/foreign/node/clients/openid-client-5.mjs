import {Issuer} from 'openid-client-5';
import {agentsURL, check, equal, grantExchange, refused, scene, status, typeAccessToken, typeDelegation} from '../check.mjs';

const {id, secret} = scene.secret;
const issuer = await Issuer.discover(scene.issuer);

function withSecret(method, clientSecret = secret) {
  return new issuer.Client({client_id: id, client_secret: clientSecret, token_endpoint_auth_method: method});
}

await check('discovery', async () => {
  equal(issuer.metadata.issuer, scene.issuer, 'issuer');
});

for (const method of ['client_secret_basic', 'client_secret_post']) {
  await check(`client credentials, ${method}`, async () => {
    const client = withSecret(method);
    const tokens = await client.grant({grant_type: 'client_credentials', scope: 'agents:read'});
    equal([tokens.token_type, tokens.scope], ['Bearer', 'agents:read']);
    const answer = await client.requestResource(agentsURL, tokens.access_token);
    equal(answer.statusCode, 200, 'status of the API');
  });
}

for (const [algorithm, key] of Object.entries(scene.keys)) {
  await check(`private_key_jwt ${algorithm}: token, introspection, revocation`, async () => {
    const client = new issuer.Client(
      {client_id: key.id, token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: algorithm},
      {keys: [key.jwk]},
    );
    const {access_token: token} = await client.grant({grant_type: 'client_credentials'});
    equal((await client.introspect(token)).active, true, 'active');
    await client.revoke(token);
    equal((await client.introspect(token)).active, false, 'active');
    equal(await status(token), 401, 'status of the API');
  });
}

await check('private_key_jwt, no algorithm named', async () => {
  const {id: clientID, jwk} = scene.keys.ES256;
  const client = new issuer.Client({client_id: clientID, token_endpoint_auth_method: 'private_key_jwt'}, {keys: [jwk]});
  await client.grant({grant_type: 'client_credentials'});
});

await check('introspection, revocation, refusal', async () => {
  const client = withSecret('client_secret_basic');
  const {access_token: token} = await client.grant({grant_type: 'client_credentials'});
  const before = await client.introspect(token);
  equal([before.active, before.client_id], [true, id]);
  await client.revoke(token);
  equal((await client.introspect(token)).active, false, 'active');
  equal(await status(token), 401, 'status of the API');
});

await check('token exchange', async () => {
  const client = withSecret('client_secret_basic');
  const {access_token: actor} = await client.grant({grant_type: 'client_credentials'});
  const tokens = await client.grant({
    grant_type: grantExchange, subject_token: scene.delegation, subject_token_type: typeDelegation,
    actor_token: actor, actor_token_type: typeAccessToken,
  });
  equal(await status(tokens.access_token), 200, 'status of the API');
});

await check('a wrong secret', async () => {
  const error = await refused(() => withSecret('client_secret_basic', 'sk_live_wrong').grant({grant_type: 'client_credentials'}));
  equal(error.error, 'invalid_client', 'error');
});
