// oauth4webapi: the strictest client there is. http is allowed because the server is on loopback.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { claim, fixture, scope } from './interop.mjs'

const issuer = new URL(fixture.issuer)
const http = { [oauth.allowInsecureRequests]: true }
const { basic, post, caller, resource, opaque } = fixture

let as
await claim('metadata by RFC 8414', async () => {
  const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...http })
  as = await oauth.processDiscoveryResponse(issuer, response)
})
await claim('metadata where OpenID Connect has it', async () => {
  const response = await oauth.discoveryRequest(issuer, { algorithm: 'oidc', ...http })
  assert.deepEqual(await oauth.processDiscoveryResponse(issuer, response), as)
})

async function token(party, authentication, parameters = { resource, scope }) {
  const client = { client_id: party.id }
  const response = await oauth.clientCredentialsGrantRequest(as, client, authentication, new URLSearchParams(parameters), http)
  return oauth.processClientCredentialsResponse(as, client, response)
}

let answer
await claim('token with client_secret_basic', async () => {
  answer = await token(basic, oauth.ClientSecretBasic(basic.secret))
  assert.equal(answer.token_type, 'bearer') // it writes the type in lower case
  assert.equal(answer.expires_in, 300)
  assert.equal(answer.refresh_token, undefined)
})
await claim('token with client_secret_post', () => token(post, oauth.ClientSecretPost(post.secret)))
await claim('wrong secret is invalid_client with a challenge', () =>
  assert.rejects(token(basic, oauth.ClientSecretBasic('wrong')), (error) => {
    // It reads the challenge before the body, as RFC 9110 has it.
    assert.ok(error instanceof oauth.WWWAuthenticateChallengeError || error.error === 'invalid_client', error)
    assert.equal(error.status, 401)
    assert.match(error.response.headers.get('www-authenticate'), /^Basic realm="/)
    return true
  }))
await claim('foreign resource is invalid_target', () =>
  assert.rejects(token(basic, oauth.ClientSecretBasic(basic.secret), { resource: 'https://other.example', scope }), { error: 'invalid_target' }))

function show(accessToken, audience) {
  const request = new Request(`${resource}/orders`, { headers: { authorization: `Bearer ${accessToken}` } })
  return oauth.validateJwtAccessToken(as, request, audience, http)
}

await claim('its own validator accepts the token', async () => {
  const claims = await show(answer.access_token, resource)
  assert.equal(claims.client_id, basic.id)
  assert.equal(claims.scope, scope)
})
await claim('its own validator refuses the token for another audience', () => assert.rejects(show(answer.access_token, 'https://other.example')))

async function introspect(party, accessToken, client = {}, options = {}) {
  client = { client_id: party.id, ...client }
  const response = await oauth.introspectionRequest(as, client, oauth.ClientSecretBasic(party.secret), accessToken, { ...http, ...options })
  return [await oauth.processIntrospectionResponse(as, client, response), response]
}

await claim('introspection', async () => {
  const [found] = await introspect(caller, answer.access_token)
  assert.equal(found.active, true)
  assert.equal(found.client_id, basic.id)
  assert.equal(found.aud, resource)
  assert.equal(found.scope, scope)
})
await claim('signed introspection', async () => {
  const [found, response] = await introspect(caller, answer.access_token, { introspection_signed_response_alg: 'ES256' }, { requestJwtResponse: true })
  assert.equal(found.active, true)
  await oauth.validateApplicationLevelSignature(as, response, http)
})
await claim('introspection of an opaque token', async () => {
  const { client, caller: api, resource } = opaque
  const { access_token: opaqueToken } = await token(client, oauth.ClientSecretBasic(client.secret), { resource, scope })
  assert.match(opaqueToken, /^writ_at_/)
  const [found] = await introspect(api, opaqueToken)
  assert.equal(found.active, true)
  assert.equal(found.client_id, client.id)
})
await claim('introspection by a stranger hears nothing', async () => {
  const [found] = await introspect(opaque.caller, answer.access_token)
  assert.deepEqual(found, { active: false })
})
await claim('revocation', async () => {
  const client = { client_id: basic.id }
  const response = await oauth.revocationRequest(as, client, oauth.ClientSecretBasic(basic.secret), answer.access_token, http)
  await oauth.processRevocationResponse(response)
  const [found] = await introspect(caller, answer.access_token)
  assert.deepEqual(found, { active: false })
})
