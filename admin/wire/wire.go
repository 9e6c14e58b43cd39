// Package wire is what the requests and the answers of Writ's admin API are made of: the JSON, and what it means. It has no
// HTTP in it, so that the server, which checks these values, and the admin package, which sends them, share one description;
// users of the API find all of it in the admin package.
package wire

// Path is where the admin API is below the address of its server. The issuer's URL and Path are the URI of the resource that
// tokens are for.
const Path = "/admin/v1"
