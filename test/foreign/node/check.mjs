// What every client of test/foreign needs: the scene that the Go side has set,
// and a way to report each check. An outcome is one line of JSON.
import {readFileSync} from 'node:fs';
import {inspect} from 'node:util';

export const scene = JSON.parse(readFileSync(process.env.FOREIGN_SCENE, 'utf8'));

// agentsURL is the API call that a token of the secret client is good for.
export const agentsURL = `${scene.issuer}/api/v1/agents`;

export const grantExchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const typeAccessToken = 'urn:ietf:params:oauth:token-type:access_token';
export const typeDelegation = 'urn:sentryagent:params:oauth:token-type:delegation';

// check runs one check and reports it. A check that fails does not stop the
// others; the exit code tells in the end.
export async function check(name, run) {
  let error = '';
  try {
    await run();
  } catch (thrown) {
    error = describe(thrown) || 'failed without a word';
    process.exitCode = 1;
  }
  console.log(JSON.stringify({check: name, error}));
}

// describe keeps what the library says, and what caused it.
function describe(thrown) {
  const parts = [];
  for (let at = thrown; at; at = at.cause) {
    parts.push(at instanceof Error ? at.stack : inspect(at, {depth: 3}));
  }
  for (const detail of ['error', 'error_description', 'code']) {
    if (typeof thrown?.[detail] === 'string') parts.push(`${detail}: ${thrown[detail]}`);
  }
  return parts.join('\ncaused by: ');
}

// refused runs what must fail and gives what it failed with.
export async function refused(run) {
  let value;
  try {
    value = await run();
  } catch (error) {
    return error;
  }
  throw new Error(`not refused: ${JSON.stringify(value)}`);
}

export function equal(got, want, what = 'value') {
  if (JSON.stringify(got) !== JSON.stringify(want)) {
    throw new Error(`${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
  }
}

export function truthy(got, what) {
  if (!got) throw new Error(`${what}: got ${JSON.stringify(got)}`);
}

// status calls the API with a token.
export async function status(token) {
  const response = await fetch(agentsURL, {headers: {authorization: `Bearer ${token}`}});
  await response.arrayBuffer();
  return response.status;
}

// token gets an access token without any library, from the node that signs with
// an algorithm: for libraries that only verify.
export async function token(algorithm, scope = 'agents:read') {
  const response = await fetch(`${scene.nodes[algorithm]}/oauth2/token`, {
    method: 'POST',
    headers: {authorization: `Basic ${btoa(`${scene.secret.id}:${scene.secret.secret}`)}`},
    body: new URLSearchParams({grant_type: 'client_credentials', scope}),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`token: ${response.status} ${JSON.stringify(answer)}`);
  return answer.access_token;
}

// tampered is the token with another signature.
export function tampered(text) {
  const [header, payload, signature] = text.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  bytes[7] ^= 1;
  return [header, payload, bytes.toString('base64url')].join('.');
}
