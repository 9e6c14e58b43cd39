// Package writ is the root of an OAuth 2.0 authorization server made only for machine-to-machine access.
//
// Import github.com/writ-auth/writ/client to obtain tokens and send them, github.com/writ-auth/writ/resource to
// protect an API, and github.com/writ-auth/writ/authtest to test either against the real server. The server itself is
// the command github.com/writ-auth/writ/cmd/writ.
package writ
