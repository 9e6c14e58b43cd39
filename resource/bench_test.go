package resource_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
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

// TestRequireAllocates is for whoever adds to the path of a token that was seen before. Not in parallel, as all are counted.
func TestRequireAllocates(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(func(c *resource.Config) { c.Keys = &ring{keys: []resource.Key{i.signer.Key()}} })
	handler := v.Require("read").Func(func(http.ResponseWriter, *http.Request) {})
	r, w := message("", []string{"Bearer " + i.mint(nil)}, ""), httptest.NewRecorder()
	got := testing.AllocsPerRun(200, func() { handler.ServeHTTP(w, r) })
	if w.Code != http.StatusOK || got > 12 {
		t.Errorf("status %d, %v allocations, and may be 12", w.Code, got)
	}
}

// BenchmarkRequire is a whole request with a token seen before: as Bearer, over a connection with the certificate that it
// is bound to, and with a DPoP proof, whose signature is new each time.
func BenchmarkRequire(b *testing.B) {
	i := newIssuer(b)
	v := i.verifier(func(c *resource.Config) { c.Keys = &ring{keys: []resource.Key{i.signer.Key()}} })
	handler := v.Require("read").Func(func(http.ResponseWriter, *http.Request) {})
	run := func(b *testing.B, next func() *http.Request) {
		b.Helper()
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			r := next()
			b.StartTimer()
			w := httptest.NewRecorder()
			if handler.ServeHTTP(w, r); w.Code != http.StatusOK {
				b.Fatalf("status %d %s", w.Code, w.Body)
			}
		}
	}
	b.Run("Bearer", func(b *testing.B) {
		r := message("", []string{"Bearer " + i.mint(nil)}, "")
		run(b, func() *http.Request { return r })
	})
	b.Run("certificate", func(b *testing.B) {
		r := showing(i.mint(changes{"cnf": changes{"x5t#S256": theShow().thumbprint}}), theShow())
		run(b, func() *http.Request { return r })
	})
	for _, algorithm := range []string{jose.ES256, jose.Ed25519} {
		b.Run("DPoP "+algorithm, func(b *testing.B) {
			signer := signers()[algorithm]
			thumbprint, err := jose.Thumbprint(signer.Key().Public)
			if err != nil {
				b.Fatal(err)
			}
			token := i.mint(changes{"cnf": changes{"jkt": thumbprint}})
			run(b, func() *http.Request {
				proof, err := pop.NewProof(signer, pop.Request{Method: "GET", URL: theURL, AccessToken: token, Now: i.clock.Now()}, "")
				if err != nil {
					b.Fatal(err)
				}
				return demonstrate(token, proof)
			})
		})
	}
}
