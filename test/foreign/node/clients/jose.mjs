import {createRemoteJWKSet, importJWK, jwtVerify, SignJWT} from 'jose';
import {check, equal, refused, scene, status, tampered, token} from '../check.mjs';

const keys = createRemoteJWKSet(new URL(`${scene.issuer}/.well-known/jwks.json`));
const expected = {issuer: scene.issuer, audience: scene.issuer, typ: 'at+jwt'};

for (const algorithm of Object.keys(scene.nodes)) {
  await check(`an access token is valid, ${algorithm}`, async () => {
    const text = await token(algorithm);
    const {payload, protectedHeader} = await jwtVerify(text, keys, expected);
    equal([protectedHeader.alg, payload.sub, payload.scope], [algorithm, scene.secret.id, 'agents:read']);
    await refused(() => jwtVerify(tampered(text), keys, expected));
    await refused(() => jwtVerify(text, keys, {...expected, audience: 'https://other.example'}));
  });
}

// assertion is a client assertion (RFC 7523) as careful clients make it.
async function assertion(algorithm, {skew = 0, life = 60, audience = scene.issuer, kid = true} = {}) {
  const key = scene.keys[algorithm];
  const now = Math.floor(Date.now() / 1000) + skew;
  return new SignJWT({jti: crypto.randomUUID()})
    .setProtectedHeader({alg: algorithm, ...kid && {kid: key.jwk.kid}})
    .setIssuer(key.id).setSubject(key.id).setAudience(audience)
    .setIssuedAt(now).setNotBefore(now).setExpirationTime(now + life)
    .sign(await importJWK(key.jwk, algorithm));
}

async function present(text) {
  const response = await fetch(`${scene.issuer}/oauth2/token`, {method: 'POST', body: new URLSearchParams({
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: text,
  })});
  return {status: response.status, body: await response.json()};
}

for (const algorithm of Object.keys(scene.keys)) {
  await check(`an assertion signed with ${algorithm}`, async () => {
    const answer = await present(await assertion(algorithm));
    equal(answer.status, 200, `status (${JSON.stringify(answer.body)})`);
    equal(await status(answer.body.access_token), 200, 'status of the API');
  });
}

for (const [name, options] of Object.entries({
  'a minute ahead': {skew: 55},
  'that lives for an hour': {life: 3600},
  'for the token endpoint': {audience: `${scene.issuer}/oauth2/token`},
  'for a list of one': {audience: [scene.issuer]},
  'without kid': {kid: false},
})) {
  await check(`an assertion ${name}`, async () => {
    const answer = await present(await assertion('ES256', options));
    equal(answer.status, 200, `status (${JSON.stringify(answer.body)})`);
  });
}

await check('an assertion is taken once', async () => {
  const text = await assertion('ES256');
  equal((await present(text)).status, 200, 'first time');
  equal((await present(text)).status, 401, 'second time');
});

await check('an assertion for another server', async () => {
  equal((await present(await assertion('ES256', {audience: 'https://other.example'}))).status, 401, 'status');
});
