package registry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/publicuri"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// KeySettings are what an operator says about a further key. The zero value is one that counts at once and for good, for all
// that the client may have.
type KeySettings struct {
	NotBefore, Expires time.Time
	Limit              Limit
}

// AddClientKey gives a client one more public key, a JWK or PEM (a public key or a certificate). A client that still
// authenticates with a secret may have keys, too: they count from when its method changes.
func (r *Registry) AddClientKey(ctx context.Context, actor Actor, nameOrID string, data []byte, settings KeySettings) (ClientKey, error) {
	var made store.ClientKey
	_, err := r.changeClient(ctx, actor, nameOrID, func(tx transaction, record *store.Client) (store.Event, error) {
		again, err := r.once("add key", actor, r.request).again(ctx, tx, keyRequest{record.ID, data, settings}, tx.now)
		if err != nil {
			return store.Event{}, err
		}
		if again {
			made, err = keyMadeBefore(record, data)
			return store.Event{}, err
		}
		if made, err = newClientKey(record, data, settings, tx.now); err != nil {
			return store.Event{}, err
		}
		if made.Limit, err = limitFor(ctx, tx, *record, settings.Limit); err != nil {
			return store.Event{}, err
		}
		if err := mayAdd(record, made); err != nil {
			return store.Event{}, err
		}
		record.Keys = append(record.Keys, made)
		return store.Event{Action: "client.key_added", Detail: detail(keyOf(made, nil))}, nil
	})
	if err != nil {
		return ClientKey{}, err
	}
	return keyOf(made, nil), nil
}

func newClientKey(record *store.Client, data []byte, settings KeySettings, now time.Time) (store.ClientKey, error) {
	jwk, err := asJWK(data)
	if err != nil {
		return store.ClientKey{}, invalid(Problem{"key", err.Error()})
	}
	key, err := parseClientKey(jwk, record.SigningAlgorithm)
	if err != nil {
		return store.ClientKey{}, invalid(Problem{"key", err.Error()})
	}
	key.Created, key.NotBefore, key.Expires = now, settings.NotBefore.UTC().Truncate(time.Microsecond), settings.Expires.UTC().Truncate(time.Microsecond)
	var p problems
	p.validity(key.NotBefore, key.Expires, now)
	if record.SigningAlgorithm != "" && !sameAlgorithm(record.SigningAlgorithm, key.Algorithm) {
		p.add("key", "is for %s, and the client signs with %s only", key.Algorithm, record.SigningAlgorithm)
	}
	if record.AuthMethod == oauth.SelfSignedTLSClientAuth && !accepts(record, is(oauth.PrivateKeyJWT)) {
		p.certificate("key", key, now)
	}
	return key, invalid(p...)
}

// asJWK returns the one public key in PEM or JSON as a JWK.
func asJWK(data []byte) ([]byte, error) {
	if len(data) > jose.MaxJWKSBytes {
		return nil, errors.New("is larger than 256 KiB")
	}
	if start := bytes.TrimLeft(data, " \t\r\n"); len(start) > 0 && start[0] == '{' {
		return data, nil
	}
	if block, rest := pem.Decode(data); block != nil {
		if more, _ := pem.Decode(rest); more != nil {
			return nil, errors.New("has more than one PEM block: give one key")
		}
	}
	keys, err := jose.ParsePublic(data)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "jose: "))
	}
	keys[0].Algorithm = "" // PEM names none; what ParsePublic would choose may not be what the client signs with
	return jose.MarshalPublic(keys[0])
}

// mayAdd refuses a key that the client cannot have.
func mayAdd(record *store.Client, key store.ClientKey) error {
	switch {
	case record.JWKSURI != "":
		return conflict("the client publishes its keys at %s: add the key there", oauth.SafeText(record.JWKSURI))
	case len(record.Keys) >= jose.MaxJWKSKeys:
		return conflict("the client has %d keys, which is the most: revoke one first", len(record.Keys))
	}
	for _, other := range record.Keys {
		if other.ID == key.ID {
			return conflict("the client has a key %s already", oauth.SafeText(key.ID))
		}
		if bytes.Equal(other.Public, key.Public) {
			return conflict("the client has this key already, as %s", oauth.SafeText(other.ID))
		}
	}
	return nil
}

// RevokeClientKey takes a key, by its ID or its thumbprint, from a client: nothing that it signs from now on is accepted. The
// last key that a client can authenticate with stays, so that nobody locks it out by mistake.
func (r *Registry) RevokeClientKey(ctx context.Context, actor Actor, nameOrID, key string) error {
	_, err := r.changeClient(ctx, actor, nameOrID, func(tx transaction, record *store.Client) (store.Event, error) {
		at := slices.IndexFunc(record.Keys, func(k store.ClientKey) bool { return k.ID == key })
		if at < 0 {
			at = slices.IndexFunc(record.Keys, func(k store.ClientKey) bool { return thumbprint(k) == key })
		}
		if at < 0 {
			return store.Event{}, notFound("key", key)
		}
		revoked := record.Keys[at]
		record.Keys = slices.Delete(record.Keys, at, at+1)
		if usesKeys(record.AuthMethod) && record.JWKSURI == "" && !slices.ContainsFunc(record.Keys, usable(record, tx.now)) {
			return store.Event{}, conflict("this is the last key that the client can authenticate with: add another one first, " +
				"or suspend or delete the client")
		}
		return store.Event{Action: "client.key_revoked", Detail: detail(keyOf(revoked, nil))}, nil
	})
	return err
}

// usable returns a function that reports whether a client can authenticate with one of its keys by its method now.
func usable(record *store.Client, now time.Time) func(store.ClientKey) bool {
	return func(key store.ClientKey) bool {
		if now.Before(key.NotBefore) {
			return false
		}
		if record.AuthMethod == oauth.SelfSignedTLSClientAuth {
			return len(key.Certificate) > 0
		}
		return record.SigningAlgorithm == "" || sameAlgorithm(record.SigningAlgorithm, key.Algorithm)
	}
}

// sameAlgorithm reports whether two names are of one algorithm: Ed25519 has two (RFC 9864, 2.2).
func sameAlgorithm(a, b string) bool {
	ed := func(name string) bool { return name == jose.Ed25519 || name == jose.EdDSA }
	return a == b || ed(a) && ed(b)
}

// keys takes the client's keys from its metadata. An update that names none leaves them as they are.
func (p *problems) keys(record *store.Client, m oauth.ClientMetadata, now time.Time) {
	found := len(*p)
	byValue := len(m.JWKS) > 0 && string(m.JWKS) != "null"
	switch {
	case (byValue || m.JWKSURI != "") && !accepts(record, usesKeys):
		field := "jwks"
		if !byValue {
			field = "jwks_uri"
		}
		p.add(field, "belongs to %s and %s, and the method is %s", oauth.PrivateKeyJWT, oauth.SelfSignedTLSClientAuth, record.AuthMethod)
	case byValue && m.JWKSURI != "":
		p.add("jwks_uri", "excludes jwks: the keys of a client come from one place")
	case byValue:
		record.Keys, record.JWKSURI = p.keySet(m.JWKS, record, now), ""
	case m.JWKSURI != "":
		if _, err := publicuri.Parse(m.JWKSURI); err != nil || !oauth.ValidScopeToken(m.JWKSURI) {
			p.add("jwks_uri", "%v", cmp.Or(err, errNotPlain))
		}
		if slices.ContainsFunc(record.Keys, func(k store.ClientKey) bool { return limited(k.Limit) }) {
			p.add("jwks_uri", "cannot take the place of keys that have a ceiling, as those at a URL have none: first put keys without one "+
				"into their place, writ client key add and writ client key revoke, and see that the client itself has no more than it needs")
		}
		record.Keys, record.JWKSURI = nil, m.JWKSURI
	}
	if usesKeys(record.AuthMethod) && record.JWKSURI == "" && len(*p) == found && !slices.ContainsFunc(record.Keys, usable(record, now)) {
		p.add("jwks", "%s", missing(record))
	}
}

var errNotPlain = errors.New("has a character that is not printable ASCII")

// missing says what the keys of a client lack, of which none is usable.
func missing(record *store.Client) string {
	switch {
	case len(record.Keys) == 0:
		return record.AuthMethod + " needs jwks or jwks_uri"
	case slices.ContainsFunc(record.Keys, func(k store.ClientKey) bool { return !k.NotBefore.IsZero() }):
		return "no key counts yet"
	case record.AuthMethod == oauth.SelfSignedTLSClientAuth:
		return "no key comes with its certificate (x5c)"
	}
	return "no key is for " + record.SigningAlgorithm
}

// keySet reads a JWK Set by stricter rules than those for what others publish: every key must be one that can be used.
func (p *problems) keySet(data []byte, record *store.Client, now time.Time) []store.ClientKey {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	switch err := json.Unmarshal(data, &set); {
	case err != nil || set.Keys == nil:
		p.add("jwks", "is not a JWK Set")
		return nil
	case len(set.Keys) == 0:
		p.add("jwks", "has no key")
		return nil
	case len(set.Keys) > jose.MaxJWKSKeys || len(data) > jose.MaxJWKSBytes:
		p.add("jwks", "has more than %d keys, or 256 KiB", jose.MaxJWKSKeys)
		return nil
	}
	var keys []store.ClientKey
	limit, limitErr := inheritedLimit(limitsOfKeys(record.Keys))
	for i, raw := range set.Keys {
		field := at("jwks.keys", i)
		key, err := parseClientKey(raw, record.SigningAlgorithm)
		if err != nil {
			p.add(field, "%s", err)
			continue
		}
		if slices.ContainsFunc(keys, func(k store.ClientKey) bool { return k.ID == key.ID || bytes.Equal(k.Public, key.Public) }) {
			p.add(field, "is there twice, or has the kid of another")
		}
		if record.AuthMethod == oauth.SelfSignedTLSClientAuth && !accepts(record, is(oauth.PrivateKeyJWT)) {
			p.certificate(field, key, now)
		}
		key.Created, key.Limit = now, limit
		if !asHeld(&key, record.Keys) && limitErr != nil {
			p.add(field, "is new, and %v: add it with its own, writ client key add", limitErr)
		}
		keys = append(keys, key)
	}
	return keys
}

// asHeld gives a key the dates and the ceiling that it has if the client had it before, and reports whether it had. Its ceiling
// stays by whatever name it comes again.
func asHeld(key *store.ClientKey, held []store.ClientKey) (found bool) {
	for _, old := range held {
		if !bytes.Equal(old.Public, key.Public) {
			continue
		}
		if found, key.Limit = true, old.Limit; old.ID == key.ID {
			key.Created, key.NotBefore, key.Expires = old.Created, old.NotBefore, old.Expires
		}
	}
	return found
}

// certificate checks the certificate that a key of self_signed_tls_client_auth must come with (RFC 8705, 2.2.2).
func (p *problems) certificate(field string, key store.ClientKey, now time.Time) {
	certificate, err := x509.ParseCertificate(key.Certificate)
	switch {
	case err != nil:
		p.add(field, "comes without its certificate (x5c), which %s needs", oauth.SelfSignedTLSClientAuth)
	case now.After(certificate.NotAfter):
		p.add(field, "comes with a certificate that has expired")
	}
}

// privateMembers are those of a JWK that nobody but its owner may see (RFC 7518, 6).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// parseClientKey reads one public JWK. An error repeats nothing of it.
func parseClientKey(raw []byte, algorithm string) (store.ClientKey, error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(raw, &members); err != nil {
		return store.ClientKey{}, errors.New("is not a JWK")
	}
	if _, set := members["keys"]; set {
		return store.ClientKey{}, errors.New("is a JWK Set: give one key of it")
	}
	for _, name := range privateMembers {
		if _, private := members[name]; private {
			return store.ClientKey{}, fmt.Errorf("is not public: it has the member %s. Nothing of it was kept, but it left its place: make a new key, and give its public half", name)
		}
	}
	// ParseJWKS leaves out a key that cannot be used; here it is refused.
	set, err := json.Marshal(map[string][]jsontext.Value{"keys": {raw}})
	if err != nil {
		return store.ClientKey{}, errors.New("is not a JWK")
	}
	keys, err := jose.ParseJWKS(set)
	if err != nil || len(keys) != 1 {
		return store.ClientKey{}, errors.New("is of a kind, size or use that is not supported (P-256, P-384, Ed25519, RSA of 2048 to 4096 bits, for signatures)")
	}
	return clientKey(keys[0], algorithm)
}

// maxKeyID bounds a kid in bytes. It names a row of the last uses, and stands in journals.
const maxKeyID = 256

func clientKey(key jose.Key, algorithm string) (store.ClientKey, error) {
	var err error
	if key.ID == "" {
		if key.ID, err = jose.Thumbprint(key.Public); err != nil {
			return store.ClientKey{}, err
		}
	}
	if len(key.ID) > maxKeyID || slices.ContainsFunc([]rune(key.ID), unprintable) {
		return store.ClientKey{}, fmt.Errorf("has a kid that is longer than %d bytes, or has a character that cannot be printed", maxKeyID)
	}
	if _, _, scope := (store.Use{Credential: key.ID}).Scope(); scope {
		return store.ClientKey{}, errors.New("has a kid that reads as the use of a scope")
	}
	if key.Algorithm == "" && jose.Fits(algorithm, key.Public) {
		key.Algorithm = algorithm
	}
	if key.Algorithm == "" {
		key.Algorithm = jose.DefaultAlgorithm(key.Public)
	}
	kept := store.ClientKey{ID: key.ID, Algorithm: key.Algorithm}
	if kept.Public, err = x509.MarshalPKIXPublicKey(key.Public); err != nil {
		return store.ClientKey{}, err
	}
	if key.Certificate != nil {
		kept.Certificate = key.Certificate.Raw
	}
	return kept, nil
}
