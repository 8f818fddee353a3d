import {once} from 'node:events';
import {Client} from '@modelcontextprotocol/sdk/client/index.js';
import {auth, discoverOAuthServerInfo} from '@modelcontextprotocol/sdk/client/auth.js';
import {ClientCredentialsProvider, PrivateKeyJwtProvider} from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import {StreamableHTTPClientTransport} from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {requireBearerAuth} from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import {getOAuthProtectedResourceMetadataUrl, mcpAuthMetadataRouter} from '@modelcontextprotocol/sdk/server/auth/router.js';
import {InvalidTokenError} from '@modelcontextprotocol/sdk/server/auth/errors.js';
import {createMcpExpressApp} from '@modelcontextprotocol/sdk/server/express.js';
import {McpServer} from '@modelcontextprotocol/sdk/server/mcp.js';
import {StreamableHTTPServerTransport} from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {check, equal, refused, scene, status, truthy} from '../check.mjs';

// verifier asks our server about each token, as an agent of its own.
const verifier = {
  async verifyAccessToken(token) {
    const {other} = scene;
    const answer = await fetch(`${scene.issuer}/oauth2/introspect`, {
      method: 'POST',
      headers: {authorization: `Basic ${btoa(`${other.id}:${other.secret}`)}`},
      body: new URLSearchParams({token}),
    });
    const seen = await answer.json();
    if (!seen.active) throw new InvalidTokenError('not active');
    const resource = URL.canParse(seen.aud) ? new URL(seen.aud) : undefined;
    return {token, clientId: seen.client_id, scopes: seen.scope.split(' '), expiresAt: seen.exp, resource};
  },
};

// serve starts an MCP server with one tool, which tells who calls. Its metadata
// sends clients to ours.
async function serve() {
  const app = createMcpExpressApp();
  const listener = app.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const url = new URL(`http://localhost:${listener.address().port}/mcp`);
  const oauthMetadata = await (await fetch(`${scene.issuer}/.well-known/oauth-authorization-server`)).json();
  app.use(mcpAuthMetadataRouter({oauthMetadata, resourceServerUrl: url, scopesSupported: ['agents:read']}));
  const resourceMetadataUrl = getOAuthProtectedResourceMetadataUrl(url);
  app.use('/mcp', requireBearerAuth({verifier, requiredScopes: ['agents:read'], resourceMetadataUrl, expectedResource: url}));
  app.post('/mcp', async (request, response) => {
    const server = new McpServer({name: 'tool', version: '1.0.0'});
    server.registerTool('whoami', {}, (extra) => ({content: [{type: 'text', text: extra.authInfo.clientId}]}));
    const transport = new StreamableHTTPServerTransport({sessionIdGenerator: undefined, enableJsonResponse: true});
    await server.connect(transport);
    await transport.handleRequest(request, response, request.body);
  });
  app.all('/mcp', (request, response) => response.status(405).end());
  return {url, close: () => listener.close()};
}

const {url, close} = await serve();

async function whoami(authProvider) {
  const client = new Client({name: 'client', version: '1.0.0'});
  await client.connect(new StreamableHTTPClientTransport(url, {authProvider}));
  const {content} = await client.callTool({name: 'whoami'});
  await client.close();
  return content[0].text;
}

function secretProvider(clientSecret = scene.secret.secret) {
  return new ClientCredentialsProvider({clientId: scene.secret.id, clientSecret, expectedIssuer: scene.issuer});
}

await check('discovery from our own API', async () => {
  const found = await discoverOAuthServerInfo(scene.issuer);
  equal(new URL(found.authorizationServerUrl).href, new URL(scene.issuer).href, 'authorization server');
  equal(found.authorizationServerMetadata.issuer, scene.issuer, 'issuer');
  truthy(found.resourceMetadata, 'metadata of the resource');
});

await check('a token for our own API', async () => {
  const provider = secretProvider();
  equal(await auth(provider, {serverUrl: scene.issuer, scope: 'agents:read'}), 'AUTHORIZED');
  equal(await status(provider.tokens().access_token), 200, 'status of the API');
});

await check('ClientCredentialsProvider calls a tool of an MCP server', async () => {
  equal(await whoami(secretProvider()), scene.secret.id, 'who called');
});

for (const [algorithm, key] of Object.entries(scene.keys)) {
  if (algorithm === 'EdDSA') continue; // the SDK does not sign with it
  await check(`PrivateKeyJwtProvider, ${algorithm}, calls a tool of an MCP server`, async () => {
    const provider = new PrivateKeyJwtProvider({clientId: key.id, privateKey: key.pem, algorithm, expectedIssuer: scene.issuer});
    equal(await whoami(provider), key.id, 'who called');
  });
}

await check('a token for our API is not for the MCP server', async () => {
  const provider = secretProvider();
  await auth(provider, {serverUrl: scene.issuer});
  const answer = await fetch(url, {method: 'POST', headers: {authorization: `Bearer ${provider.tokens().access_token}`}});
  equal(answer.status, 401, 'status of the MCP server');
});

await check('a wrong secret', async () => {
  const error = await refused(() => auth(secretProvider('sk_live_wrong'), {serverUrl: scene.issuer}));
  truthy(error.errorCode === 'invalid_client' || /invalid_client|authentication failed/i.test(error.message), `invalid_client, ${error}`);
});

close();
