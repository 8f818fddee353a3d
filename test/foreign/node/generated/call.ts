// Signs in and reads an agent with the generated client, which lies in the
// folder client beside this file. The environment names server and client.
import {AgentsApi, Configuration, TokensApi} from './client/index';
import type {OrganizationUpdate} from './client/index';

declare const process: {env: Record<string, string>};

const {FOREIGN_URL: basePath, FOREIGN_ID: clientId, FOREIGN_SECRET: clientSecret} = process.env;

const ok = (check: string) => console.log(JSON.stringify({check}));

async function main() {
  const token = await new TokensApi(new Configuration({basePath}))
    .issueToken({grantType: 'client_credentials', clientId, clientSecret, scope: 'agents:read'});
  ok('token');

  // The generated code sends what it is given as the whole header, unlike that of other generators.
  const agents = new AgentsApi(new Configuration({basePath, accessToken: `Bearer ${token.accessToken}`}));
  const agent = await agents.getAgent({agentId: clientId!});
  if (agent.agentId !== clientId || !(agent.createdAt instanceof Date)) {
    throw new Error(`not the agent that was asked for: ${JSON.stringify(agent)}`);
  }
  ok('agent');

  const back: OrganizationUpdate = {unset: ['maxAgents']};
  if (back.unset?.length !== 1) throw new Error('a limit cannot be unset');
  ok('unset');
}

void main();
