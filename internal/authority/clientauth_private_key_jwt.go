package authority

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// privateKeyJWT is private_key_jwt (RFC 7523, 2.2 and 3; RFC 10070).
var privateKeyJWT = clientAuth{present: presentAssertion, prove: proveAssertion, settle: useUpAssertion}

const (
	reasonUnknownKey     reason = "unknown_key"
	reasonWrongSignature reason = "wrong_signature"
	reasonNoKeys         reason = "keys_unavailable" // at the client's jwks_uri
	reasonReplay         reason = "replay"
)

// presentAssertion reads the assertion. Who has made it is what it says, until it is verified: "client_id" is optional and
// may only repeat that (RFC 7521, 4.2).
func presentAssertion(r *Request) (credentials, bool) {
	compact, kind, named := r.Form.Get("client_assertion"), r.Form.Get("client_assertion_type"), r.Form.Get("client_id")
	if compact == "" && kind == "" {
		return credentials{}, false
	}
	presented := credentials{serves: []string{oauth.PrivateKeyJWT}, clientID: identifier(named)}
	switch {
	case kind == "":
		presented.refusal = oauth.Errorf(oauth.InvalidRequest, "client_assertion_type is missing")
		return presented, true
	case kind != oauth.AssertionTypeJWT:
		presented.refusal = oauth.Errorf(oauth.InvalidRequest, "this client_assertion_type is not supported")
		return presented, true
	case compact == "":
		presented.flaw = reasonNoCredentials
		return presented, true
	}
	given, err := parseAssertion(compact)
	if err != nil {
		presented.flaw = reasonAssertionMalformed
		return presented, true
	}
	presented.assertion = given
	subject := cmp.Or(given.claims.Subject, named) // without one it proves nothing, and the journal says for whom
	presented.clientID = identifier(subject)
	if named != "" && named != subject {
		presented.flaw = reasonOtherClient
	}
	return presented, true
}

func proveAssertion(ctx context.Context, a *Authority, client *client, presented credentials) (credential, error) {
	given := presented.assertion
	if given == nil {
		return credential{}, reasonNoCredentials
	}
	if why := given.check(a.issuer, a.profile.StringAudience, a.now()); why != "" {
		return credential{}, why
	}
	if !a.permitsAlgorithm(given.token.Algorithm) {
		return credential{}, reasonAssertionAlgorithm
	}
	return a.signedWith(ctx, client, given, presented.remote)
}

// permitsAlgorithm reports whether the profile allows assertions to be signed with an algorithm.
func (a *Authority) permitsAlgorithm(algorithm string) bool {
	same := func(permitted string) bool { return family(permitted) == family(algorithm) }
	return a.profile.Algorithms == nil || slices.ContainsFunc(a.profile.Algorithms, same)
}

// signedWith returns the key of a client that an assertion is signed with, and that may be used from where the caller is. If the client publishes its keys and has
// published none of that name when they were read, they are read again, once.
func (a *Authority) signedWith(ctx context.Context, client *client, given *assertion, remote string) (elsewhere credential, why error) {
	tries := decoyTries
	why = reasonWrongSignature
	if given.token.KeyID != "" {
		tries = 1
	}
	for renewed := false; ; renewed = true {
		keys, err := a.keys(ctx, client)
		candidates, named := given.candidates(client, keys)
		for _, key := range candidates {
			if !a.isSigned(given, key.Key) {
				continue
			}
			by := credential{key.name(), key.limit}
			if client.covers(remote, key.limit) {
				return by, nil
			}
			elsewhere, why = by, reasonNetwork // go on as with a wrong one
		}
		if err != nil || named || renewed || !a.renew(ctx, client) {
			switch {
			case err != nil:
				why = reasonNoKeys
			case !named && given.token.KeyID != "":
				why = reasonUnknownKey
			}
			a.tryDecoys(given, tries-len(candidates))
			return elsewhere, why
		}
	}
}

// candidates returns the keys that an assertion may be signed with, and whether the one that it names is among the
// client's. The algorithm is the key's, not the sender's choice (RFC 8725, 3.1).
func (given *assertion) candidates(client *client, keys []clientKey) (some []clientKey, named bool) {
	algorithm, keyID := given.token.Algorithm, given.token.KeyID
	allowed := client.SigningAlgorithm == "" || family(client.SigningAlgorithm) == family(algorithm)
	for _, key := range keys {
		if keyID != "" && keyID != key.ID {
			continue
		}
		named = keyID != ""
		if allowed && given.mayBeSignedWith(key.Key) {
			some = append(some, key)
		}
	}
	return some, named
}

func (a *Authority) isSigned(given *assertion, key jose.Key) bool {
	key.Algorithm = given.token.Algorithm // the same one by another name: candidates has compared them
	return a.verifySignature(given.token, key) == nil
}

func (a *Authority) tryDecoys(given *assertion, tries int) {
	for range tries {
		if key, exists := decoyKey(given.token.Algorithm, len(given.signature)); exists {
			a.isSigned(given, key)
		}
	}
}

// useUpAssertion lets an assertion through once, at whatever endpoint and node it arrives. When the store cannot say
// whether it was used, it was: a stolen assertion must not become good by taking the database away. It is kept for a minute
// longer than it is good, for nodes whose clocks are behind.
func useUpAssertion(ctx context.Context, a *Authority, client *client, presented credentials) error {
	claims := presented.assertion.claims
	sum := sha256.Sum256([]byte(client.ID + "\x00" + claims.ID))
	until := time.Unix(int64(claims.Expires), 0).Add(oauth.Leeway + time.Minute).UTC()
	asking, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	err := a.store.UseOnce(asking, "assertion:"+base64.RawURLEncoding.EncodeToString(sum[:]), until)
	if errors.Is(err, store.ErrExists) {
		return reasonReplay
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}
