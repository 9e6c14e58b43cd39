// openid-client with keys, certificates and DPoP; jose and undici as its README uses them.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'
import * as undici from 'undici'
import { claim, fixture, scope } from './interop.mjs'

const server = new URL(fixture.issuer)
const { resource, assertion, dpop, certificate, self_signed: selfSigned, cert_and_dpop: certAndDPoP, caller } = fixture

async function keyOf(party) {
  return { key: await jose.importJWK(party.jwk, party.jwk.alg), kid: party.jwk.kid }
}

async function withKey(party) {
  return client.discovery(server, party.id, undefined, client.PrivateKeyJwt(await keyOf(party)), { algorithm: 'oauth2' })
}

async function withCertificate(party) {
  const agent = new undici.Agent({ connect: { cert: party.cert, key: party.cert_key, ca: readFileSync(fixture.ca) } })
  return client.discovery(server, party.id, { use_mtls_endpoint_aliases: true }, client.TlsClientAuth(), {
    algorithm: 'oauth2',
    [client.customFetch]: (url, options) => undici.fetch(url, { ...options, dispatcher: agent }),
  })
}

const parameters = { resource, scope }
const token = (config, options) => client.clientCredentialsGrant(config, parameters, options)
const handle = async (config) => client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))

function call(config, accessToken, options) {
  return client.fetchProtectedResource(config, accessToken, new URL(resource), 'GET', null, undefined, options)
}

async function allowed(response) {
  assert.equal(response.status, 200)
  assert.deepEqual(await response.json(), { orders: [] })
}

// refused wants the API's refusal, which openid-client makes an error if it can read the challenge.
const refused = (response) => assert.rejects(response, (error) => {
  assert.equal(error.status ?? error.cause?.status, 401, error)
  return true
})

// invalidClient wants the refusal of the token endpoint. openid-client reads the challenge before the body, as RFC 9110 has it.
const invalidClient = (answer) => assert.rejects(answer, (error) => {
  assert.ok(error.error === 'invalid_client' || error instanceof client.WWWAuthenticateChallengeError && error.status === 401, error)
  return true
})

for (const [algorithm, party] of Object.entries(assertion)) {
  await claim(`private_key_jwt with ${algorithm}`, async () => {
    const config = await withKey(party)
    const first = await token(config)
    await token(config) // with an assertion of its own
    await allowed(await call(config, first.access_token))
  })
}
await claim('private_key_jwt of another client is invalid_client', async () => {
  const config = await withKey({ ...assertion.ES256, id: assertion.PS256.id })
  await invalidClient(token(config))
})
await claim('introspection and revocation with private_key_jwt', async () => {
  const [api, config] = [await withKey(caller), await withKey(assertion.ES256)]
  const { access_token: accessToken } = await token(config)
  assert.equal((await client.tokenIntrospection(api, accessToken)).client_id, assertion.ES256.id)
  await client.tokenRevocation(config, accessToken)
  assert.equal((await client.tokenIntrospection(api, accessToken)).active, false)
})

await claim('DPoP with nonces of server and API', async () => {
  const config = await withKey(dpop)
  const DPoP = await handle(config)
  const answer = await token(config, { DPoP })
  assert.equal(answer.token_type, 'dpop')
  for (let n = 0; n < 2; n++) await allowed(await call(config, answer.access_token, { DPoP }))
  await token(config, { DPoP })
})
await claim('DPoP: a stolen token is refused without the key', async () => {
  const config = await withKey(dpop)
  const { access_token: accessToken } = await token(config, { DPoP: await handle(config) })
  await refused(call(config, accessToken, { DPoP: await handle(config) }))
  await refused(call(config, accessToken))
})
await claim('DPoP: no proof for a client that must have one is invalid_request', async () => {
  const error = await token(await withKey(dpop)).then(() => assert.fail('a token'), (error) => error)
  assert.equal(error.error, 'invalid_request')
})
await claim('DPoP: its own validator accepts token and proof', async () => {
  const config = await withKey(dpop)
  const DPoP = await handle(config)
  const { access_token: accessToken } = await token(config, { DPoP })
  let request
  config[client.customFetch] = (url, options) => {
    request = new Request(url, options)
    return fetch(url, options)
  }
  await allowed(await call(config, accessToken, { DPoP }))
  const claims = await oauth.validateJwtAccessToken(config.serverMetadata(), request, resource)
  assert.ok(claims.cnf.jkt)
})

for (const [name, party] of [['tls_client_auth', certificate], ['self_signed_tls_client_auth', selfSigned]]) {
  await claim(`mTLS with ${name}, token bound to the certificate`, async () => {
    const config = await withCertificate(party)
    const { access_token: accessToken } = await token(config)
    assert.ok(jose.decodeJwt(accessToken).cnf['x5t#S256'])
    await allowed(await call(config, accessToken))
    await refused(call(await withKey(assertion.ES256), accessToken)) // which shows no certificate
    await refused(call(await withCertificate(certAndDPoP), accessToken))
  })
}
await claim('mTLS: the certificate of another client is invalid_client', async () => {
  const config = await withCertificate({ ...selfSigned, id: certificate.id })
  await invalidClient(token(config))
})
await claim('mTLS and DPoP at the alias', async () => {
  const config = await withCertificate(certAndDPoP)
  const DPoP = await handle(config)
  const { access_token: accessToken, token_type: type } = await token(config, { DPoP })
  assert.equal(type, 'dpop')
  await allowed(await call(config, accessToken, { DPoP }))
})
