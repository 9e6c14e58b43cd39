// Package conformance holds the modules of the OpenID Foundation's conformance suite that apply to the client credentials
// grant of the FAPI 2.0 Security Profile (fapi_client_credentials_grant), ported as tests under the modules' own names, in
// every variant of client authentication and sender constraint. The real suite is Java and a container; what it sends and
// what it accepts is written down here.
package conformance
