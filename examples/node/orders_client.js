// Calls the API at WRIT_API with a token that openid-client obtains.
import * as client from 'openid-client'

const { WRIT_ISSUER, WRIT_CLIENT_ID, WRIT_CLIENT_SECRET, WRIT_RESOURCE, WRIT_API } = process.env

const config = await client.discovery(
  new URL(WRIT_ISSUER), WRIT_CLIENT_ID, undefined, client.ClientSecretBasic(WRIT_CLIENT_SECRET),
  { algorithm: 'oauth2', execute: [client.allowInsecureRequests] }, // http, for `writ dev` on loopback only
)
const token = await client.clientCredentialsGrant(config, { scope: 'orders:read', resource: WRIT_RESOURCE })
const response = await fetch(`${WRIT_API}/orders`, { headers: { Authorization: `Bearer ${token.access_token}` } })
console.log(await response.text())
