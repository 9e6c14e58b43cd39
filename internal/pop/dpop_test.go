package pop_test

import (
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const tokenURL = "https://as.example/token"

func newSigner(t testing.TB, algorithm string) *jose.Signer {
	t.Helper()
	key, err := jose.GenerateKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(key, algorithm, "unused")
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestNewProofIsGood(t *testing.T) {
	t.Parallel()
	for _, algorithm := range jose.Algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			signer := newSigner(t, algorithm)
			request := pop.Request{Method: "POST", URL: tokenURL + "?a=b#c", AccessToken: "token", Now: now}
			compact, err := pop.NewProof(signer, request, "a nonce")
			if err != nil {
				t.Fatal(err)
			}
			proof, err := pop.ParseProof(compact)
			if err != nil {
				t.Fatal(err)
			}
			if err := proof.Check(request); err != nil {
				t.Errorf("Check: %v", err)
			}
			thumbprint, err := jose.Thumbprint(signer.Key().Public)
			if err != nil {
				t.Fatal(err)
			}
			if proof.Thumbprint != thumbprint || proof.Nonce != "a nonce" || !proof.IssuedAt.Equal(now) || proof.URL != tokenURL {
				t.Errorf("proof is %+v, want thumbprint %s, the nonce, %v and %s", proof, thumbprint, now, tokenURL)
			}
		})
	}
}
