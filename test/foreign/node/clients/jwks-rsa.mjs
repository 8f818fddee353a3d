import jwksClient from 'jwks-rsa';
import jsonwebtoken from 'jsonwebtoken';
import {check, equal, refused, scene, tampered, token} from '../check.mjs';

const keys = jwksClient({jwksUri: `${scene.issuer}/.well-known/jwks.json`});

// verify is what the READMEs of jwks-rsa and jsonwebtoken show.
function verify(text, options) {
  const getKey = (header, done) => keys.getSigningKey(header.kid, (error, key) => done(error, key?.getPublicKey()));
  return new Promise((resolve, reject) => {
    jsonwebtoken.verify(text, getKey, options, (error, claims) => error ? reject(error) : resolve(claims));
  });
}

for (const algorithm of Object.keys(scene.nodes)) {
  await check(`an access token is valid, ${algorithm}`, async () => {
    const text = await token(algorithm);
    const expected = {issuer: scene.issuer, audience: scene.issuer, algorithms: [algorithm]};
    equal((await verify(text, expected)).sub, scene.secret.id, 'sub');
    await refused(() => verify(tampered(text), expected));
    await refused(() => verify(text, {...expected, audience: 'https://other.example'}));
  });
}

await check('a key that is not there', async () => {
  const error = await refused(() => keys.getSigningKey('no-such-key'));
  equal(error.name, 'SigningKeyNotFoundError', 'name of the error');
});
