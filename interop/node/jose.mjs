// jose: a resource server that verifies our tokens with the key set it fetches.
import assert from 'node:assert/strict'
import * as jose from 'jose'
import { changed, claim, fixture, scope, token } from './interop.mjs'

const keys = jose.createRemoteJWKSet(new URL(`${fixture.issuer}/jwks`))

function verify(jwt, audience, algorithm, typ = 'at+jwt') {
  return jose.jwtVerify(jwt, keys, {
    issuer: fixture.issuer, audience, typ, algorithms: [algorithm], requiredClaims: ['sub', 'client_id', 'iat', 'exp', 'jti'],
  })
}

for (const [algorithm, { resource, client }] of Object.entries(fixture.algorithms)) {
  await claim(`${algorithm} with typ at+jwt`, async () => {
    const { payload, protectedHeader } = await verify(await token(client, resource), resource, algorithm)
    assert.equal(payload.client_id, client.id)
    assert.equal(payload.sub, client.id)
    assert.equal(payload.aud, resource)
    assert.equal(payload.scope, scope)
    assert.equal(protectedHeader.alg, algorithm)
    assert.equal(payload.exp - payload.iat, 300)
  })
}

const { resource, client } = fixture.algorithms.ES256
const jwt = await token(client, resource)
await claim('another audience is refused', () =>
  assert.rejects(verify(jwt, 'https://other.example', 'ES256'), jose.errors.JWTClaimValidationFailed))
await claim('another typ is refused', () => assert.rejects(verify(jwt, resource, 'ES256', 'JWT'), jose.errors.JWTClaimValidationFailed))
await claim('a changed token is refused', () =>
  assert.rejects(verify(changed(jwt), resource, 'ES256'), jose.errors.JWSSignatureVerificationFailed))
