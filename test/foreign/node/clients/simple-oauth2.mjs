import {ClientCredentials} from 'simple-oauth2';
import {check, equal, refused, scene, status} from '../check.mjs';

function configure(options = {}, secret = scene.secret.secret) {
  return new ClientCredentials({
    client: {id: scene.secret.id, secret},
    auth: {tokenHost: scene.issuer, tokenPath: '/oauth2/token', revokePath: '/oauth2/revoke'}, // its own are /oauth/…
    options,
  });
}

for (const authorizationMethod of ['header', 'body']) {
  await check(`token, revocation, refusal, ${authorizationMethod}`, async () => {
    const token = await configure({authorizationMethod}).getToken({scope: 'agents:read'});
    equal([token.token.token_type, token.token.scope, token.expired()], ['Bearer', 'agents:read', false]);
    equal(await status(token.token.access_token), 200, 'status of the API');
    await token.revoke('access_token');
    equal(await status(token.token.access_token), 401, 'status of the API');
  });
}

await check('several scopes', async () => {
  const token = await configure().getToken({scope: ['agents:read', 'tokens:read']});
  equal(token.token.scope, 'agents:read tokens:read', 'scope');
});

await check('a wrong secret', async () => {
  const error = await refused(() => configure({}, 'sk_live_wrong').getToken({}));
  equal([error.output?.statusCode, error.data?.payload?.error], [401, 'invalid_client']);
});

await check('a JSON body is refused', async () => {
  const error = await refused(() => configure({bodyFormat: 'json'}).getToken({}));
  equal([error.output?.statusCode, error.data?.payload?.error], [400, 'invalid_request']);
});
