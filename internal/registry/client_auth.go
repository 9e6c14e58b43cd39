package registry

import (
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// AuthMethods are the client authentication methods that a client can be registered with.
var AuthMethods = []string{
	oauth.ClientSecretBasic, oauth.ClientSecretPost, oauth.PrivateKeyJWT, oauth.TLSClientAuth, oauth.SelfSignedTLSClientAuth,
}

// maxOverlap bounds how long two methods are accepted of one client: what is meant to end should.
const maxOverlap = 366 * 24 * time.Hour

func usesSecrets(method string) bool {
	return method == oauth.ClientSecretBasic || method == oauth.ClientSecretPost
}

func usesKeys(method string) bool {
	return method == oauth.PrivateKeyJWT || method == oauth.SelfSignedTLSClientAuth
}

// accepts reports whether one of the methods that a client may use now is such a method.
func accepts(record *store.Client, such func(method string) bool) bool {
	return such(record.AuthMethod) || record.FormerMethod != "" && such(record.FormerMethod)
}

func is(method string) func(string) bool {
	return func(other string) bool { return method == other }
}

// method changes the method that a client authenticates with. The former one is accepted until keep.
func (p *problems) method(record *store.Client, method string, keep, now time.Time) {
	keep = keep.UTC().Truncate(time.Microsecond)
	if keep.After(now.Add(maxOverlap)) {
		p.add("keep_former_until", "is more than 366 days ahead")
	}
	before := usedBy(record)
	switch {
	case method != record.AuthMethod:
		record.FormerMethod, record.AuthMethod, record.FormerUntil = record.AuthMethod, method, keep
	case keep.IsZero():
		return
	case record.FormerMethod == "":
		p.add("keep_former_until", "the client has no former method, and this one does not change")
	default:
		record.FormerUntil = keep
	}
	if usesSecrets(method) && len(record.Secrets) == 0 {
		p.add("token_endpoint_auth_method", "the client has no secret: give it one first")
	}
	endFormer(record, before, now)
}

// inUse says which kinds of credentials the methods that a client may use need.
type inUse struct{ keys, secrets bool }

func usedBy(record *store.Client) inUse {
	return inUse{accepts(record, usesKeys), accepts(record, usesSecrets)}
}

// endFormer ends the former method if its time is over. Keys and secrets that were in use until then go with it; those that
// were not are there to prepare a change, and stay.
func endFormer(record *store.Client, before inUse, now time.Time) {
	if !record.FormerUntil.After(now) {
		record.FormerMethod, record.FormerUntil = "", time.Time{}
	}
	after := usedBy(record)
	if before.keys && !after.keys {
		record.Keys = nil
	}
	if before.secrets && !after.secrets {
		record.Secrets = nil
	}
}

// authentication puts into a record how its client authenticates: what the metadata says about the method that the record
// has now. What only the former method needs stays as it is when the metadata does not name it.
func (p *problems) authentication(record *store.Client, m oauth.ClientMetadata, now time.Time) {
	if !slices.Contains(AuthMethods, record.AuthMethod) {
		return // validateClient says so
	}
	record.CertificateBound, record.DPoPBound = m.TLSClientCertificateBoundAccessTokens, m.DPoPBoundAccessTokens
	p.algorithm(record, m)
	p.keys(record, m, now)
	p.subject(record, m)
	dropUnused(record)
}

// algorithm takes the one algorithm that the client's assertions may have.
func (p *problems) algorithm(record *store.Client, m oauth.ClientMetadata) {
	const field = "token_endpoint_auth_signing_alg"
	named := m.TokenEndpointAuthSigningAlg
	switch {
	case named == "":
		if record.AuthMethod == oauth.PrivateKeyJWT {
			record.SigningAlgorithm = ""
		}
	case !accepts(record, is(oauth.PrivateKeyJWT)):
		p.add(field, "belongs to %s, and the method is %s", oauth.PrivateKeyJWT, record.AuthMethod)
	case !jose.Known(named):
		p.add(field, "must be one of %s", strings.Join(jose.Algorithms, ", "))
	default:
		record.SigningAlgorithm = named
	}
}

// dropUnused takes away what no method that is accepted needs. Secrets and keys by value stay: they may be there to prepare
// a change.
func dropUnused(record *store.Client) {
	if !accepts(record, usesKeys) {
		record.JWKSURI = ""
	}
	if !accepts(record, is(oauth.PrivateKeyJWT)) {
		record.SigningAlgorithm = ""
	}
	if !accepts(record, is(oauth.TLSClientAuth)) {
		record.CertificateRule, record.CertificateValue = "", ""
	}
}
