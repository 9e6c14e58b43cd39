package authority

import (
	"bytes"
	"encoding/json"
	"maps"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// readStatic adds up the static claims that a client has at the resource of a grant, as members of an object without its
// braces, in the order of their names: two resources that are told the same have the same text. What the grant says of the
// resource wins over what is said of the client everywhere. It reports whether they can be read and have no name that means
// something: registry lets no other in, and of a record that was changed behind its back no token may be made.
func readStatic(client store.Client, grant string) (members string, good bool) {
	if client.Claims == "" && grant == "" {
		return "", true
	}
	sum := map[string]json.RawMessage{}
	for _, text := range []string{client.Claims, grant} {
		some := map[string]json.RawMessage{}
		if text != "" && jose.DecodeObject([]byte(text), &some) != nil {
			return "", false
		}
		maps.Copy(sum, some)
	}
	for name := range sum {
		if oauth.ReservedClaim(name) {
			return "", false
		}
	}
	if len(sum) == 0 {
		return "", true
	}
	object, err := json.Marshal(sum)
	if err != nil {
		return "", false
	}
	return string(object[1 : len(object)-1]), true
}

// addStatic gives each resource the static claims that its tokens hold, and takes away those whose claims cannot be read.
func addStatic(sum map[string]*effective, record store.Client) {
	granted := map[string]string{}
	for _, grant := range record.Grants {
		granted[grant.Resource] = grant.Claims
	}
	for uri, of := range sum {
		members, good := readStatic(record, granted[uri])
		if of.claims = members; !good {
			delete(sum, uri)
		}
	}
}

// staticClaims returns the static claims in the payload of a token of ours: the members that mean nothing to us. nil for none, as
// almost all tokens have; it looks at the names for that, and decodes nothing.
func staticClaims(payload []byte) (members map[string]json.RawMessage) {
	decoder := jsontext.NewDecoder(bytes.NewBuffer(payload))
	if begin, err := decoder.ReadToken(); err != nil || begin.Kind() != jsontext.KindBeginObject {
		return nil // it was read before
	}
	for decoder.PeekKind() == jsontext.KindString {
		token, err := decoder.ReadToken()
		if err != nil {
			return nil
		}
		name := token.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return nil
		}
		if oauth.ReservedClaim(name) {
			continue
		}
		if members == nil {
			members = map[string]json.RawMessage{}
		}
		members[name] = json.RawMessage(value.Clone())
	}
	return members
}
