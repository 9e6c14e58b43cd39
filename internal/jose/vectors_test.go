package jose_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/jose"
)

// TestVectors holds the published examples of RFC 7515, appendix A, and RFC 8037, appendix A, as published.
func TestVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Token, Payload, Thumbprint string
		Key                              json.RawMessage
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, vector := range vectors {
		t.Run(vector.Name, func(t *testing.T) {
			keys, err := jose.ParseJWKS([]byte(`{"keys":[` + string(vector.Key) + `]}`))
			if err != nil || len(keys) != 1 {
				t.Fatalf("keys %v, error %v", keys, err)
			}
			token, err := jose.Parse(vector.Token)
			if err != nil {
				t.Fatal(err)
			}
			if string(token.Payload) != vector.Payload {
				t.Errorf("payload %q, want %q", token.Payload, vector.Payload)
			}
			if err := token.Verify(keys[0]); err != nil {
				t.Errorf("Verify: %v", err)
			}
			if got, err := jose.Thumbprint(keys[0].Public); vector.Thumbprint != "" && (got != vector.Thumbprint || err != nil) {
				t.Errorf("thumbprint %s, error %v, want %s", got, err, vector.Thumbprint)
			}
			refuseEveryChange(t, vector.Token, keys[0])
		})
	}
}

// refuseEveryChange replaces each character of the signature, in turn, by one that still decodes.
func refuseEveryChange(t *testing.T, token string, key jose.Key) {
	t.Helper()
	start := strings.LastIndexByte(token, '.') + 1
	for i := start; i < len(token); i++ {
		other := byte('A')
		if token[i] == other {
			other = 'Q'
		}
		changed, err := jose.Parse(token[:i] + string(other) + token[i+1:])
		if err != nil {
			continue // the last character has bits that must be zero
		}
		if changed.Verify(key) == nil {
			t.Errorf("signature verifies with its character %d changed", i-start)
		}
	}
}
