// openid-client, as its README shows it.
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { claim, fixture, scope } from './interop.mjs'

const server = new URL(fixture.issuer)
const { basic, post, caller, resource } = fixture
const http = { execute: [client.allowInsecureRequests] }

let config
await claim('discovery by RFC 8414', async () => {
  config = await client.discovery(server, basic.id, basic.secret, client.ClientSecretBasic(basic.secret), { ...http, algorithm: 'oauth2' })
})
await claim('discovery as its README does it', async () => {
  const other = await client.discovery(server, basic.id, basic.secret, client.ClientSecretBasic(basic.secret), http)
  assert.equal(other.serverMetadata().token_endpoint, config.serverMetadata().token_endpoint)
})

let tokens
await claim('token with client_secret_basic', async () => {
  tokens = await client.clientCredentialsGrant(config, { scope, resource })
  assert.ok(tokens.expiresIn() > 290 && tokens.expiresIn() <= 300, `${tokens.expiresIn()} s left of 300`) // it counts down
})
await claim('token with client_secret_post', async () => {
  const other = await client.discovery(server, post.id, undefined, client.ClientSecretPost(post.secret), http)
  assert.ok((await client.clientCredentialsGrant(other, { scope, resource })).access_token)
})

const api = await client.discovery(server, caller.id, undefined, client.ClientSecretBasic(caller.secret), http)
await claim('introspection', async () => {
  const found = await client.tokenIntrospection(api, tokens.access_token)
  assert.equal(found.active, true)
  assert.equal(found.client_id, basic.id)
})
await claim('revocation', async () => {
  await client.tokenRevocation(config, tokens.access_token)
  assert.equal((await client.tokenIntrospection(api, tokens.access_token)).active, false)
})
await claim('wrong scope is invalid_scope', () =>
  assert.rejects(client.clientCredentialsGrant(config, { scope: 'orders:delete', resource }), { error: 'invalid_scope' }))
