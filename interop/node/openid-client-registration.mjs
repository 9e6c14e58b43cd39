// openid-client registers itself (RFC 7591), and looks after what it registered (RFC 7592).
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { claim, fixture } from './interop.mjs'

const server = new URL(fixture.issuer)
const http = { execute: [client.allowInsecureRequests], algorithm: 'oauth2' }
const register = (metadata, auth, initialAccessToken = fixture.token) =>
  client.dynamicClientRegistration(server, metadata, auth, { ...http, initialAccessToken })

let config
await claim('registration with an initial access token', async () => {
  config = await register({ client_name: 'Payroll', grant_types: ['client_credentials'], response_types: [], scope: 'orders:read' })
  const made = config.clientMetadata()
  assert.match(made.client_id, /^dyn-payroll-/)
  assert.equal(made.client_name, 'Payroll')
  assert.equal(made.scope, 'orders:read')
  assert.equal(made.client_secret_expires_at, 0)
})
await claim('a token with what was registered', async () => {
  const { client_id, client_secret } = config.clientMetadata()
  const basic = await client.discovery(server, client_id, client_secret, client.ClientSecretBasic(client_secret), http)
  assert.equal((await client.clientCredentialsGrant(basic, { resource: fixture.resource })).scope, 'orders:read')
})
await claim('more than the token allows is invalid_client_metadata', () =>
  assert.rejects(register({ scope: 'orders:drop' }), { error: 'invalid_client_metadata' }))
await claim('another initial access token is refused', () =>
  assert.rejects(register({}, undefined, 'writ_iat_other'), (error) => error.cause?.[0]?.scheme === 'bearer' || error.error === 'invalid_token'))
await claim('a key instead of a secret', async () => {
  const { publicKey, privateKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
  const jwk = { ...(await crypto.subtle.exportKey('jwk', publicKey)), kid: 'one', use: 'sig', alg: 'ES256' }
  delete jwk.key_ops
  const keyed = await register({ token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [jwk] } }, client.PrivateKeyJwt({ key: privateKey, kid: 'one' }))
  client.allowInsecureRequests(keyed)
  assert.equal(keyed.clientMetadata().client_secret, undefined)
  assert.ok((await client.clientCredentialsGrant(keyed, { resource: fixture.resource })).access_token)
})

const { registration_access_token: access, registration_client_uri: uri, client_id, ...rest } = config.clientMetadata()
const manage = (method, body) =>
  client.fetchProtectedResource(config, access, new URL(uri), method, body && JSON.stringify(body), new Headers(body && { 'content-type': 'application/json' }))
client.allowInsecureRequests(config)
await claim('what was registered is read', async () => {
  const found = await (await manage('GET')).json()
  assert.equal(found.client_id, client_id)
  assert.equal(found.client_secret, undefined)
})
await claim('what was registered is changed', async () => {
  const { client_secret, client_secret_expires_at, client_id_issued_at, ...own } = rest
  const changed = await (await manage('PUT', { ...own, client_id, client_name: 'Payroll EU' })).json()
  assert.equal(changed.client_name, 'Payroll EU')
  assert.equal(changed.scope, 'orders:read')
})
await claim('what was registered is deleted', async () => {
  assert.equal((await manage('DELETE')).status, 204)
  await assert.rejects(manage('GET'), (error) => error.status === 401 || error.cause?.[0]?.parameters?.error === 'invalid_token')
})
