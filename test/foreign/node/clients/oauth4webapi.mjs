import * as oauth from 'oauth4webapi';
import {importJWK} from 'jose';
import {agentsURL, check, equal, grantExchange, refused, scene, status, token, truthy, typeAccessToken, typeDelegation} from '../check.mjs';

const insecure = {[oauth.allowInsecureRequests]: true};
const issuer = new URL(scene.issuer);
const client = {client_id: scene.secret.id};

async function discover(algorithm) {
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, {algorithm, ...insecure}));
}

const server = await discover('oauth2');

async function grant(as, authentication, parameters = {}) {
  const response = await oauth.clientCredentialsGrantRequest(server, as, authentication, parameters, insecure);
  return oauth.processClientCredentialsResponse(server, as, response);
}

for (const algorithm of ['oidc', 'oauth2']) {
  await check(`discovery ${algorithm}`, async () => equal((await discover(algorithm)).issuer, scene.issuer, 'issuer'));
}

for (const [name, authentication] of [
  ['basic', oauth.ClientSecretBasic(scene.secret.secret)], ['post', oauth.ClientSecretPost(scene.secret.secret)],
]) {
  await check(`client credentials, introspection, revocation, ${name}`, async () => {
    const {access_token: text} = await grant(client, authentication, {scope: 'agents:read'});
    const answer = await oauth.protectedResourceRequest(text, 'GET', new URL(agentsURL), undefined, undefined, insecure);
    equal(answer.status, 200, 'status of the API');
    const introspect = async () => oauth.processIntrospectionResponse(
      server, client, await oauth.introspectionRequest(server, client, authentication, text, insecure));
    equal((await introspect()).active, true, 'active');
    await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, authentication, text, insecure));
    equal((await introspect()).active, false, 'active');
    equal(await status(text), 401, 'status of the API');
  });
}

for (const [algorithm, key] of Object.entries(scene.keys)) {
  await check(`client credentials, private_key_jwt ${algorithm}`, async () => {
    const privateKey = await importJWK(key.jwk, algorithm);
    const tokens = await grant({client_id: key.id}, oauth.PrivateKeyJwt({key: privateKey, kid: key.jwk.kid}));
    equal(await status(tokens.access_token), 200, 'status of the API');
  });
}

await check('a client whose clock is 30 seconds ahead', async () => {
  const key = scene.keys.ES256;
  const ahead = {client_id: key.id, [oauth.clockSkew]: 30};
  await grant(ahead, oauth.PrivateKeyJwt(await importJWK(key.jwk, 'ES256')));
});

await check('token exchange', async () => {
  const authentication = oauth.ClientSecretBasic(scene.secret.secret);
  const {access_token: actor} = await grant(client, authentication);
  const response = await oauth.genericTokenEndpointRequest(server, client, authentication, grantExchange, {
    subject_token: scene.delegation, subject_token_type: typeDelegation, actor_token: actor, actor_token_type: typeAccessToken,
  }, insecure);
  const tokens = await oauth.processGenericTokenEndpointResponse(server, client, response);
  equal(await status(tokens.access_token), 200, 'status of the API');
});

for (const algorithm of Object.keys(scene.nodes)) {
  await check(`an access token is valid, ${algorithm}`, async () => {
    const request = new Request(agentsURL, {headers: {authorization: `Bearer ${await token(algorithm)}`}});
    const claims = await oauth.validateJwtAccessToken(server, request, scene.issuer, insecure);
    equal(claims.sub, scene.secret.id, 'sub');
    await refused(() => oauth.validateJwtAccessToken(server, request, 'https://other.example', insecure));
  });
}

await check('the resource that a challenge names', async () => {
  const answer = await fetch(agentsURL);
  equal(answer.status, 401, 'status without a token');
  const named = /resource_metadata="([^"]*)"/.exec(answer.headers.get('www-authenticate'));
  truthy(named, `resource_metadata in ${answer.headers.get('www-authenticate')}`);
  equal((await fetch(named[1])).status, 200, 'status of the document');
  const resource = new URL(scene.issuer);
  const metadata = await oauth.processResourceDiscoveryResponse(resource, await oauth.resourceDiscoveryRequest(resource, insecure));
  equal(metadata.authorization_servers, [scene.issuer], 'authorization_servers');
});

await check('a wrong secret', async () => {
  const error = await refused(() => grant(client, oauth.ClientSecretPost('sk_live_wrong')));
  equal([error.error, error.status], ['invalid_client', 401]);
});
