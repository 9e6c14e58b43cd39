package resource_test

import (
	"testing"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/resource"
)

// BenchmarkVerify is a token seen before, and one of each algorithm that is not (PERFORMANCE: signatures are most of it).
func BenchmarkVerify(b *testing.B) {
	i := newIssuer(b)
	for _, test := range []struct {
		name, algorithm string
		size            int
	}{{"again", jose.ES256, 0}, {"ES256", jose.ES256, -1}, {"Ed25519", jose.Ed25519, -1}, {"RS256", jose.RS256, -1}} {
		b.Run(test.name, func(b *testing.B) {
			signer := signers()[test.algorithm]
			v := i.verifier(func(c *resource.Config) {
				c.Keys, c.CacheSize = &ring{keys: []resource.Key{signer.Key()}}, test.size
			})
			token := i.sign(signer, "at+jwt", []byte(i.payload(nil)))
			for b.Loop() {
				if _, err := v.Verify(background, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
