// An API that takes Writ's tokens: GET /orders needs the scope orders:read.
import { createServer } from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const { WRIT_ISSUER, WRIT_RESOURCE, PORT = '8088' } = process.env
const keys = createRemoteJWKSet(new URL(`${WRIT_ISSUER}/jwks`))

async function authorize(request, scope) {
  const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? []
  if (!token) return { status: 401, challenge: 'Bearer' }
  try {
    const { payload } = await jwtVerify(token, keys, { issuer: WRIT_ISSUER, audience: WRIT_RESOURCE, typ: 'at+jwt' })
    if (payload.scope?.split(' ').includes(scope)) return { status: 200, claims: payload }
    return { status: 403, challenge: `Bearer error="insufficient_scope", scope="${scope}"` }
  } catch {
    return { status: 401, challenge: 'Bearer error="invalid_token"' }
  }
}

createServer(async (request, response) => {
  if (request.method !== 'GET' || request.url !== '/orders') return response.writeHead(404).end()
  const { status, challenge, claims } = await authorize(request, 'orders:read')
  if (!claims) return response.writeHead(status, { 'WWW-Authenticate': challenge }).end()
  response.writeHead(200, { 'Content-Type': 'application/json' })
  response.end(JSON.stringify({ orders: [{ id: '1' }], for: claims.client_id }))
}).listen(Number(PORT), '127.0.0.1')
