// Package wire is what the requests and the answers of Writ's admin API are made of: the JSON, and what it means. It has no
// HTTP in it, so that the server, which checks these values, and the admin package, which sends them, share one description;
// users of the API find all of it in the admin package.
package wire
