// Package remotekeys reads the key sets that clients publish at a jwks_uri.
package remotekeys
