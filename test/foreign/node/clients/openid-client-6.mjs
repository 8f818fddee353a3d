import * as client from 'openid-client';
import {importJWK} from 'jose';
import {agentsURL, check, equal, grantExchange, refused, scene, status, truthy, typeAccessToken, typeDelegation} from '../check.mjs';

const server = new URL(scene.issuer);
const {id, secret} = scene.secret;

async function configure(authentication, options = {}, clientID = id) {
  return client.discovery(server, clientID, undefined, authentication, {execute: [client.allowInsecureRequests], ...options});
}

for (const algorithm of ['oidc', 'oauth2']) {
  await check(`discovery ${algorithm}`, async () => {
    const config = await configure(client.ClientSecretBasic(secret), {algorithm});
    equal(config.serverMetadata().issuer, scene.issuer, 'issuer');
    equal(config.serverMetadata().token_endpoint, `${scene.issuer}/oauth2/token`, 'token_endpoint');
  });
}

for (const [name, authentication] of [['basic', client.ClientSecretBasic(secret)], ['post', client.ClientSecretPost(secret)]]) {
  await check(`client credentials, ${name}`, async () => {
    const config = await configure(authentication);
    const tokens = await client.clientCredentialsGrant(config, {scope: 'agents:read'});
    equal([tokens.token_type, tokens.expires_in, tokens.scope], ['bearer', 3600, 'agents:read']);
    const answer = await client.fetchProtectedResource(config, tokens.access_token, new URL(agentsURL), 'GET');
    equal(answer.status, 200, 'status of the API');
    equal(typeof (await answer.json()).total, 'number');
  });
}

for (const [algorithm, key] of Object.entries(scene.keys)) {
  await check(`client credentials, private_key_jwt ${algorithm}`, async () => {
    const privateKey = await importJWK(key.jwk, algorithm);
    const config = await configure(client.PrivateKeyJwt({key: privateKey, kid: key.jwk.kid}), {}, key.id);
    const tokens = await client.clientCredentialsGrant(config);
    equal(await status(tokens.access_token), 200, 'status of the API');
  });
  await check(`client credentials, private_key_jwt ${algorithm}, no kid`, async () => {
    const config = await configure(client.PrivateKeyJwt(await importJWK(key.jwk, algorithm)), {}, key.id);
    await client.clientCredentialsGrant(config);
  });
}

await check('introspection, revocation, refusal', async () => {
  const config = await configure(client.ClientSecretBasic(secret));
  const {access_token: token} = await client.clientCredentialsGrant(config);
  equal(await status(token), 200, 'status before');
  const before = await client.tokenIntrospection(config, token);
  equal([before.active, before.client_id, before.token_type], [true, id, 'Bearer']);
  await client.tokenRevocation(config, token);
  equal(await status(token), 401, 'status after');
  equal((await client.tokenIntrospection(config, token)).active, false, 'active');
  const error = await refused(() => client.fetchProtectedResource(config, token, new URL(agentsURL), 'GET'));
  equal(error.cause?.[0]?.parameters?.error, 'invalid_token', 'error of the challenge');
});

await check('introspection and revocation, private_key_jwt', async () => {
  const key = scene.keys.ES256;
  const config = await configure(client.PrivateKeyJwt(await importJWK(key.jwk, 'ES256')), {}, key.id);
  const {access_token: token} = await client.clientCredentialsGrant(config);
  equal((await client.tokenIntrospection(config, token)).active, true, 'active');
  await client.tokenRevocation(config, token);
  equal((await client.tokenIntrospection(config, token)).active, false, 'active');
});

await check('token exchange', async () => {
  const config = await configure(client.ClientSecretBasic(secret));
  const {access_token: actor} = await client.clientCredentialsGrant(config);
  const tokens = await client.genericGrantRequest(config, grantExchange, {
    subject_token: scene.delegation, subject_token_type: typeDelegation, actor_token: actor, actor_token_type: typeAccessToken,
  });
  equal([tokens.issued_token_type, tokens.scope], [typeAccessToken, 'agents:read']);
  const seen = await client.tokenIntrospection(config, tokens.access_token);
  equal([seen.sub, seen.act?.sub], [scene.other.id, id], 'who acts for whom');
  equal(await status(tokens.access_token), 200, 'status of the API');
});

await check('token exchange: an audience is kept, wrong credentials are refused', async () => {
  const config = await configure(client.ClientSecretBasic(secret));
  const {access_token: actor} = await client.clientCredentialsGrant(config);
  const parameters = {
    subject_token: scene.delegation, subject_token_type: typeDelegation, actor_token: actor, actor_token_type: typeAccessToken,
  };
  const audience = 'https://tool.example';
  const {access_token: token} = await client.genericGrantRequest(config, grantExchange, {...parameters, audience});
  const {aud} = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  equal([aud].flat(), [audience], 'aud');
  const wrong = await configure(client.ClientSecretPost('sk_live_wrong'));
  const error = await refused(() => client.genericGrantRequest(wrong, grantExchange, parameters));
  equal(error.error, 'invalid_client', 'error');
});

await check('resource', async () => {
  const config = await configure(client.ClientSecretBasic(secret));
  const resource = 'https://tool.example/mcp';
  const {access_token: token} = await client.clientCredentialsGrant(config, {resource});
  const {aud} = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  equal([aud].flat(), [resource], 'aud');
  equal(await status(token), 401, 'status of our API');
});

await check('two resources are an invalid target', async () => {
  const config = await configure(client.ClientSecretBasic(secret));
  const parameters = new URLSearchParams([['resource', 'https://a.example'], ['resource', 'https://b.example']]);
  const error = await refused(() => client.clientCredentialsGrant(config, parameters));
  equal(error.error, 'invalid_target', 'error');
});

await check('a scope that is none', async () => {
  const config = await configure(client.ClientSecretBasic(secret));
  const error = await refused(() => client.clientCredentialsGrant(config, {scope: 'agents:fly'}));
  equal(error.error, 'invalid_scope', 'error');
});

await check('a wrong secret, post', async () => {
  const config = await configure(client.ClientSecretPost('sk_live_wrong'));
  const error = await refused(() => client.clientCredentialsGrant(config));
  equal([error.error, error.status], ['invalid_client', 401]);
});

await check('a wrong secret, basic', async () => {
  const config = await configure(client.ClientSecretBasic('sk_live_wrong'));
  const error = await refused(() => client.clientCredentialsGrant(config));
  truthy(error instanceof client.WWWAuthenticateChallengeError || error.cause instanceof client.WWWAuthenticateChallengeError,
    `a challenge, ${error.name}`);
});
