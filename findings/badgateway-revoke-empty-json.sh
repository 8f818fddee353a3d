#!/usr/bin/env bash
# Expected: @badgateway/oauth2-client 3.3.1 takes a 200 of a revocation endpoint as success whatever its body, as RFC 7009 section 2.2
# says. Seen: with Content-Type application/json and no body, revoke() rejects with "Unexpected end of JSON input", although the
# server has revoked the token. Without a media type, and with the body {}, it resolves.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund @badgateway/oauth2-client@3.3.1 >/dev/null
cat >run.mjs <<'EOF'
import {createServer} from 'node:http';
import {readFileSync} from 'node:fs';
import {OAuth2Client} from '@badgateway/oauth2-client';

const answers = {
  'no media type, no body': [{}, ''],
  'application/json, {}': [{'Content-Type': 'application/json'}, '{}'],
  'application/json, no body': [{'Content-Type': 'application/json'}, ''],
};
const seen = {};
for (const [name, [headers, body]] of Object.entries(answers)) {
  const server = createServer((request, response) => response.writeHead(200, headers).end(body));
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const base = `http://127.0.0.1:${server.address().port}`;
  const client = new OAuth2Client({
    clientId: 'id', clientSecret: 'secret', authenticationMethod: 'client_secret_basic',
    tokenEndpoint: `${base}/token`, revocationEndpoint: `${base}/revoke`,
  });
  seen[name] = await client.revoke({accessToken: 'token', expiresAt: null, refreshToken: null}).then(() => 'resolves', (e) => `rejects: ${e.message}`);
  server.close();
  server.closeAllConnections();
}
const {version} = JSON.parse(readFileSync('node_modules/@badgateway/oauth2-client/package.json', 'utf8'));
console.log(`@badgateway/oauth2-client ${version}, Node.js ${process.version}, answer of the revocation endpoint: 200 and`);
for (const [name, outcome] of Object.entries(seen)) console.log(`  ${name}: ${outcome}`);
const [bare, object, empty] = Object.values(seen);
process.exitCode = bare === 'resolves' && object === 'resolves' && empty.startsWith('rejects') ? 0 : 1;
EOF
node run.mjs
