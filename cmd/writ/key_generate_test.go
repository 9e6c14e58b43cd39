package main

import (
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/jose"
)

// TestNameable: whoever has made a key can name it to "writ client key revoke".
func TestNameable(t *testing.T) {
	t.Parallel()
	for range 1000 {
		_, id, err := nameable(jose.Ed25519)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(id, "-") {
			t.Fatalf("%s looks like an option", id)
		}
	}
}
