package authority

import (
	"bytes"
	"context"
	"crypto/sha256"

	"github.com/writ-auth/writ/oauth"
)

// tlsClientAuth is tls_client_auth (RFC 8705, 2.1): an authority vouches for a name.
var tlsClientAuth = clientAuth{present: presentCertificate, prove: proveCertificateName}

// selfSignedTLSClientAuth is self_signed_tls_client_auth (RFC 8705, 2.2): the certificate itself is registered.
var selfSignedTLSClientAuth = clientAuth{present: presentCertificate, prove: proveCertificate}

// credentialCertificate is what the uses of certificates are noted by that are known by their names only.
const credentialCertificate = "certificate"

const reasonOtherCertificate reason = "other_certificate"

// presentCertificate takes the certificate of the connection for credentials only if there are no others: beside them it
// is what tokens are bound to, and a connection may show one to anybody. It does not say which client it is for: that
// takes a client_id (RFC 8705, 2).
func presentCertificate(r *Request) (credentials, bool) {
	others := len(r.Authorization) > 0
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		others = others || r.Form.Get(name) != ""
	}
	if len(r.Certificates) == 0 || others {
		return credentials{}, false
	}
	presented := credentials{serves: []string{oauth.TLSClientAuth, oauth.SelfSignedTLSClientAuth}, chain: r.Certificates, vouched: new(vouching)}
	named := r.Form.Get("client_id")
	if presented.clientID = identifier(named); named == "" {
		presented.refusal = oauth.Errorf(oauth.InvalidRequest, "client_id is missing: a certificate does not say which client it is for")
	}
	return presented, true
}

// A vouching is whether authorities vouch for a chain. It is found out once in a request: a chain can cost more than all else.
type vouching struct {
	done bool
	why  reason
}

func proveCertificateName(_ context.Context, a *Authority, client *client, presented credentials) (credential, error) {
	if !presented.vouched.done {
		*presented.vouched = vouching{true, a.vouchedFor(presented.chain)}
	}
	if why := presented.vouched.why; why != "" {
		return credential{}, why
	}
	if client.rule == nil || !client.rule.Matches(presented.chain[0]) {
		return credential{}, reasonOtherCertificate
	}
	return credential{id: credentialCertificate}, nil
}

// proveCertificate compares the whole certificate: its subject is whatever its maker wrote there, and another one with the
// same key was not registered.
func proveCertificate(ctx context.Context, a *Authority, client *client, presented credentials) (elsewhere credential, why error) {
	certificate := presented.chain[0]
	now, sum := a.now(), sha256.Sum256(certificate.Raw)
	if now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return credential{}, reasonCertificateExpired
	}
	why = reasonOtherCertificate
	for renewed := false; ; renewed = true {
		keys, err := a.keys(ctx, client)
		for _, key := range keys {
			if !bytes.Equal(key.certificate, sum[:]) {
				continue
			}
			by := credential{key.name(), key.limit}
			if client.covers(presented.remote, key.limit) {
				return by, nil
			}
			elsewhere, why = by, reasonNetwork
		}
		if err != nil {
			return credential{}, reasonNoKeys
		}
		if renewed || !a.renew(ctx, client) {
			return elsewhere, why
		}
	}
}
