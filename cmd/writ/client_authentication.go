package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// authentication is how a client proves who it is, and what its tokens are bound to, as flags say it.
type authentication struct {
	method              string
	publicKeys          []string // files
	jwksURI, signingAlg string
	certificate         string // file
	rule                oauth.ClientMetadata
	dpop, bind          bool
	rotates             bool

	set *pflag.FlagSet // which of these were said
}

// authMethods are the client authentication methods, for completion.
var authMethods = []string{
	oauth.ClientSecretBasic, oauth.ClientSecretPost, oauth.PrivateKeyJWT, oauth.TLSClientAuth, oauth.SelfSignedTLSClientAuth,
}

func (a *authentication) flags(cmd *cobra.Command, unsaid string) {
	flags := cmd.Flags()
	a.set = flags
	flags.StringVar(&a.method, "auth-method", "", "`METHOD` to authenticate by: client_secret_basic, client_secret_post,\n"+
		"private_key_jwt, tls_client_auth, self_signed_tls_client_auth;\nwhen left out, "+unsaid)
	flags.StringArrayVar(&a.publicKeys, "public-key", nil, "`FILE` with a public key of the client: PEM, JWK or JWK Set;\nmay be repeated")
	flags.StringVar(&a.jwksURI, "jwks-uri", "", "`URL` where the client publishes its keys")
	flags.StringVar(&a.signingAlg, "signing-alg", "", "the one `ALG` that its assertions are signed with")
	flags.StringVar(&a.certificate, "certificate", "", "`FILE` with the client's self-signed certificate (PEM)")
	flags.StringVar(&a.rule.TLSClientAuthSubjectDN, "subject-dn", "", "subject `DN` that its certificate is known by, \"CN=billing,O=Example\"")
	flags.StringVar(&a.rule.TLSClientAuthSANDNS, "san-dns", "", "DNS `NAME` that its certificate is known by")
	flags.StringVar(&a.rule.TLSClientAuthSANURI, "san-uri", "", "`URI` that its certificate is known by, such as a SPIFFE ID")
	flags.StringVar(&a.rule.TLSClientAuthSANIP, "san-ip", "", "IP `ADDRESS` that its certificate is known by")
	flags.StringVar(&a.rule.TLSClientAuthSANEmail, "san-email", "", "mail `ADDRESS` that its certificate is known by")
	flags.BoolVar(&a.dpop, "dpop", false, "give it tokens that are bound to a DPoP key, and no others")
	flags.BoolVar(&a.bind, "bind-certificate", false, "give it tokens that are bound to its certificate, and no others")
	flags.BoolVar(&a.rotates, "may-rotate-secret", false, "let it give itself a new secret in the place of the one that it has")
	complete(cmd, "auth-method", authMethods...)
	complete(cmd, "signing-alg", jose.Algorithms...)
	_ = cmd.MarkFlagFilename("public-key") // fails only for a flag that is not there
	_ = cmd.MarkFlagFilename("certificate")
}

// apply puts what was said into metadata; what was not said stays there, but for what belongs to another method.
func (a *authentication) apply(m *oauth.ClientMetadata) error {
	if method := a.chosen(); method != "" && method != m.TokenEndpointAuthMethod {
		m.TokenEndpointAuthMethod = method
		m.JWKS, m.JWKSURI, m.TokenEndpointAuthSigningAlg = nil, "", ""
		copyRule(m, oauth.ClientMetadata{})
	}
	keys, err := a.keys()
	if err != nil {
		return err
	}
	if len(keys) > 0 {
		if m.JWKS, err = keySet(keys); err != nil {
			return err
		}
		m.JWKSURI = ""
	}
	if a.jwksURI != "" {
		m.JWKSURI = a.jwksURI
		if len(keys) == 0 { // else the server says that it is one or the other
			m.JWKS = nil
		}
	}
	if a.ruled() {
		copyRule(m, a.rule)
	}
	if a.set.Changed("signing-alg") {
		m.TokenEndpointAuthSigningAlg = a.signingAlg
	}
	if a.set.Changed("dpop") {
		m.DPoPBoundAccessTokens = a.dpop
	}
	if a.set.Changed("may-rotate-secret") {
		m.RotatesSecrets = a.rotates
	}
	if a.set.Changed("bind-certificate") {
		m.TLSClientCertificateBoundAccessTokens = a.bind
	}
	return nil
}

// chosen returns the method that was said, or that what was said is for, or "".
func (a *authentication) chosen() string {
	switch {
	case a.method != "":
		return a.method
	case len(a.publicKeys) > 0 || a.jwksURI != "":
		return oauth.PrivateKeyJWT
	case a.certificate != "":
		return oauth.SelfSignedTLSClientAuth
	case a.ruled():
		return oauth.TLSClientAuth
	}
	return ""
}

// ruled reports whether it was said which certificate is the client's.
func (a *authentication) ruled() bool {
	r := a.rule
	return r.TLSClientAuthSubjectDN+r.TLSClientAuthSANDNS+r.TLSClientAuthSANURI+r.TLSClientAuthSANIP+r.TLSClientAuthSANEmail != ""
}

func copyRule(to *oauth.ClientMetadata, from oauth.ClientMetadata) {
	to.TLSClientAuthSubjectDN, to.TLSClientAuthSANDNS = from.TLSClientAuthSubjectDN, from.TLSClientAuthSANDNS
	to.TLSClientAuthSANURI, to.TLSClientAuthSANIP, to.TLSClientAuthSANEmail = from.TLSClientAuthSANURI, from.TLSClientAuthSANIP, from.TLSClientAuthSANEmail
}

// keys reads the files with public keys and the certificate.
func (a *authentication) keys() ([]jose.Key, error) {
	var keys []jose.Key
	for _, name := range a.publicKeys {
		read, err := readPublic("--public-key", name)
		if err != nil {
			return nil, err
		}
		for i := range read {
			read[i].Certificate = nil
			if a.signingAlg != "" && jose.Fits(a.signingAlg, read[i].Public) {
				read[i].Algorithm = a.signingAlg // PEM does not say it
			}
		}
		keys = append(keys, read...)
	}
	if a.certificate == "" {
		return keys, nil
	}
	read, err := readPublic("--certificate", a.certificate)
	if err == nil && read[0].Certificate == nil {
		err = fmt.Errorf("--certificate %s: there is no certificate in it", a.certificate)
	}
	return append(keys, read...), err
}

func readPublic(flag, name string) ([]jose.Key, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	keys, err := jose.ParsePublic(data)
	switch {
	case errors.Is(err, jose.ErrPrivate):
		return nil, advise(fmt.Errorf("%s %s holds a private key, which must stay where it is", flag, name), "give the public half")
	case err != nil:
		return nil, fmt.Errorf("%s %s: %s", flag, name, strings.TrimPrefix(err.Error(), "jose: "))
	case len(keys) == 0:
		return nil, fmt.Errorf("%s %s: there is no key in it", flag, name)
	}
	return keys, nil
}

// keySet writes keys as a JWK Set, with their certificates.
func keySet(keys []jose.Key) (json.RawMessage, error) {
	set := struct {
		Keys []json.RawMessage `json:"keys"`
	}{}
	for _, key := range keys {
		jwk, err := jose.MarshalPublic(key)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, jwk)
	}
	return json.Marshal(set)
}
