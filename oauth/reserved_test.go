package oauth

import (
	"reflect"
	"strings"
	"testing"
)

// TestReservedClaim: every claim that this module reads or writes is reserved, by whatever name a decoder would take for it.
func TestReservedClaim(t *testing.T) {
	t.Parallel()
	for _, of := range []reflect.Type{reflect.TypeFor[Claims](), reflect.TypeFor[Introspection]()} {
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			if name != "-" && !ReservedClaim(name) {
				t.Errorf("%s of %s is not reserved", name, of.Name())
			}
		}
	}
	for name, want := range map[string]bool{
		"SCOPE": true, "Scope": true, "clientId": true, "client-id": true, "CNF": true, "Roles": true, "_iss": true, "scp": true, "role": true,
		"tenant": false, "https://example.com/scope": false, "department": false, "issuer": false, "": false,
	} {
		if ReservedClaim(name) != want {
			t.Errorf("%q: want reserved %v", name, want)
		}
	}
}
