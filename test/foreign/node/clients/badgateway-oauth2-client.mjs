import {OAuth2Client, OAuth2Fetch} from '@badgateway/oauth2-client';
import {agentsURL, check, equal, refused, scene, status} from '../check.mjs';

const {id: clientId, secret: clientSecret} = scene.secret;

function configure(options = {}) {
  return new OAuth2Client({server: scene.issuer, clientId, clientSecret, ...options});
}

for (const authenticationMethod of [undefined, 'client_secret_basic', 'client_secret_post']) {
  await check(`token, introspection, revocation, refusal, ${authenticationMethod ?? 'as discovered'}`, async () => {
    const client = configure(authenticationMethod && {authenticationMethod});
    const token = await client.clientCredentials({scope: ['agents:read']});
    equal(await status(token.accessToken), 200, 'status of the API');
    equal((await client.introspect(token)).active, true, 'active');
    await client.revoke(token);
    equal((await client.introspect(token)).active, false, 'active');
    equal(await status(token.accessToken), 401, 'status of the API');
  });
}

await check('the fetch wrapper', async () => {
  const client = configure();
  const wrapper = new OAuth2Fetch({client, getNewToken: () => client.clientCredentials()});
  const answer = await wrapper.fetch(agentsURL);
  equal(answer.status, 200, 'status of the API');
});

await check('a resource', async () => {
  const token = await configure().clientCredentials({resource: ['https://tool.example/mcp']});
  const {aud} = JSON.parse(Buffer.from(token.accessToken.split('.')[1], 'base64url'));
  equal([aud].flat(), ['https://tool.example/mcp'], 'aud');
});

await check('two resources are an invalid target', async () => {
  const error = await refused(() => configure().clientCredentials({resource: ['https://a.example', 'https://b.example']}));
  equal(error.oauth2Code, 'invalid_target', 'code');
});

await check('a wrong secret', async () => {
  const error = await refused(() => configure({clientSecret: 'sk_live_wrong'}).clientCredentials());
  equal([error.oauth2Code, error.httpCode], ['invalid_client', 401]);
});
