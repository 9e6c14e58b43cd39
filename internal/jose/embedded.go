package jose

import (
	"fmt"

	"github.com/go-jose/go-jose/v4/json"
)

// ParseWithKey reads a compact JWS by the rules of Parse that brings the public key it is signed with (RFC 7515, 4.1.3),
// and verifies the signature with it. The key's ID is its thumbprint (RFC 7638). The signature proves that whoever made
// the token holds that key and nothing else: it is up to the caller to know whose key it is.
func ParseWithKey(compact string) (*Token, Key, error) {
	t, err := Parse(compact)
	if err != nil {
		return nil, Key{}, err
	}
	var header struct {
		JWK json.RawMessage `json:"jwk"`
	}
	if err := DecodeObject(t.header, &header); err != nil {
		return nil, Key{}, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	key, usable := usableKey(header.JWK)
	if !usable || hasPrivate(header.JWK) {
		return nil, Key{}, fmt.Errorf("%w: the header has no public key that is allowed", ErrMalformed)
	}
	if err := t.Verify(key); err != nil {
		return nil, Key{}, err
	}
	key.Algorithm = t.Algorithm
	key.ID, err = Thumbprint(key.Public)
	return t, key, err
}

// hasPrivate reports whether a JWK has any member of a private key (RFC 7518, 6.2.2, 6.3.2 and 6.4; RFC 8037, 2): whoever
// sends a part of one may have no secret left. usableKey looks for whole ones only.
func hasPrivate(jwk []byte) bool {
	var members map[string]json.RawMessage
	if err := DecodeObject(jwk, &members); err != nil {
		return true
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, found := members[name]; found {
			return true
		}
	}
	return false
}
