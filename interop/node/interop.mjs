// What the scripts share: the fixture, and how a claim is made.
import assert from 'node:assert/strict'

export const fixture = JSON.parse(process.env.INTEROP)
export const scope = 'orders:read orders:write'

// claim runs f and says that what it shows holds. An error ends the script.
export async function claim(name, f) {
  try {
    await f()
  } catch (error) {
    console.error(`${name}:`, error)
    process.exit(1)
  }
  console.log(`ok ${name}`)
}

// token gets a token with nothing but fetch, for the scripts that are about what comes after.
export async function token(client, resource) {
  const response = await fetch(`${fixture.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${client.id}:${client.secret}`)}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource, scope }),
  })
  assert.equal(response.status, 200)
  return (await response.json()).access_token
}

// changed returns a token with another signature.
export function changed(jwt) {
  const at = jwt.length - 20
  return jwt.slice(0, at) + (jwt[at] === 'A' ? 'B' : 'A') + jwt.slice(at + 1)
}
