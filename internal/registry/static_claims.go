package registry

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-auth/writ/oauth"
)

// Bounds on the static claims of a client, and of each of its grants. They travel with every request to an API, in a header.
const (
	maxClaimsBytes = 2 << 10
	maxClaims      = 32
	maxClaimsDepth = 4
	maxClaimName   = 128
	maxClaimNumber = 1 << 53 // what is larger, readers of JSON round in different ways
)

// plainClaims returns static claims as they are kept: without spaces, in the order of their names, nil for none. What cannot be
// read stays as it is: claims says so.
func plainClaims(raw stdjson.RawMessage) stdjson.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	plain := jsontext.Value(bytes.Clone(raw))
	if len(raw) == 0 || len(raw) > 2*maxClaimsBytes || checkShape(raw) != nil || plain.Canonicalize() != nil {
		return raw
	}
	if string(plain) == "{}" {
		return nil
	}
	return stdjson.RawMessage(plain)
}

// claimsView returns static claims as they are shown: nil for none.
func claimsView(kept string) stdjson.RawMessage {
	if kept == "" {
		return nil
	}
	return stdjson.RawMessage(kept)
}

// plainGrants is plainClaims for grants.
func plainGrants(grants []oauth.Grant) []oauth.Grant {
	if !slices.ContainsFunc(grants, func(grant oauth.Grant) bool { return grant.Claims != nil }) {
		return grants
	}
	grants = slices.Clone(grants)
	for i := range grants {
		grants[i].Claims = plainClaims(grants[i].Claims)
	}
	return grants
}

// claims checks static claims in the way in which they are kept. A name that means something to who checks a token is refused,
// however it is written: with it an operator would make up rights that no scope and no role gives, or whom the token is about.
func (p *problems) claims(field string, raw stdjson.RawMessage) {
	if len(raw) == 0 {
		return
	}
	if len(raw) > maxClaimsBytes {
		p.add(field, "has more than %d bytes", maxClaimsBytes)
		return
	}
	if err := checkShape(raw); err != nil {
		p.add(field, "%v", err)
		return
	}
	var members map[string]stdjson.RawMessage
	if stdjson.Unmarshal(raw, &members) != nil {
		p.add(field, "is not a JSON object")
		return
	}
	if len(members) > maxClaims {
		p.add(field, "has more than %d members", maxClaims)
	}
	var seen []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		at := field + "." + oauth.SafeText(name)
		switch same := slices.IndexFunc(seen, func(other string) bool { return oauth.SameClaim(other, name) }); {
		case !validClaim(name):
			p.add(at, "is no name for a claim: 1 to %d printable ASCII characters, without spaces, quotes, backslashes, < > and &", maxClaimName)
		case oauth.ReservedClaim(name):
			p.add(at, "is reserved: who checks a token takes it for %s", meaningOf(name))
		case same >= 0:
			p.add(at, "and %s are one name for readers that take no notice of case, _ and -", oauth.SafeText(seen[same]))
		}
		seen = append(seen, name)
	}
}

// meaningOf says what a reserved claim would be taken for.
func meaningOf(name string) string {
	for _, rights := range []string{"scope", "roles", "role", "groups", "entitlements", "scp", "permissions", "authorities", "realm_access", "resource_access"} {
		if oauth.SameClaim(rights, name) {
			return "a right, and rights come from scopes and roles"
		}
	}
	return "something that only the server can say"
}

func validClaim(name string) bool {
	return name != "" && len(name) <= maxClaimName && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"'\<>&`, r)
	})
}

var errNull = errors.New("has a null, which says nothing: leave the member out")

// checkShape refuses what is not one JSON object by strict rules, and what readers would take for different things.
func checkShape(raw []byte) error {
	decoder := jsontext.NewDecoder(bytes.NewReader(raw)) // refuses names that are there twice, and what is not UTF-8
	if decoder.PeekKind() != '{' {
		return errors.New("is not a JSON object")
	}
	for {
		token, err := decoder.ReadToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errors.New("is not JSON by our rules: one object, in UTF-8, and no name twice")
		}
		if decoder.StackDepth() > maxClaimsDepth {
			return fmt.Errorf("nests deeper than %d levels", maxClaimsDepth)
		}
		switch token.Kind() {
		case 'n':
			return errNull
		case '0':
			if n, err := token.Float(); err != nil || n >= maxClaimNumber || n <= -maxClaimNumber {
				return errors.New("has a number beyond 2^53, which readers round in different ways: write it as text")
			}
		case '"':
			if slices.ContainsFunc([]rune(token.String()), unprintable) {
				return errors.New("has a text with a character that cannot be printed")
			}
		}
	}
}
