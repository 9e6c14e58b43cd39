package resource

import (
	"encoding/json"
	"fmt"

	"github.com/writ-auth/writ/internal/jose"
)

// Claim reads a claim of the token that Token has no field for, such as one that an operator gave the client with
// writ client update --claim, into a value as json.Unmarshal does. It reports whether the token has the claim. Names are
// compared exactly.
//
// What rights the caller has is said by Scope and Roles: a claim of another issuer by another name was not checked for that.
func (t *Token) Claim(name string, into any) (found bool, err error) {
	var members map[string]json.RawMessage
	if len(t.raw) == 0 || jose.DecodeObject(t.raw, &members) != nil {
		return false, nil // it was read before: there is none that was not made by hand
	}
	value, found := members[name]
	if !found {
		return false, nil
	}
	if err := json.Unmarshal(value, into); err != nil {
		return true, fmt.Errorf("resource: claim %q: %w", name, err)
	}
	return true, nil
}
