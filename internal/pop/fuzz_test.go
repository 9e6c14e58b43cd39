package pop_test

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
)

// FuzzProof looks for a proof that we take and another library does not verify with the key in it, for an error that is
// no Fault, and for a proof that is good for one URL and for another host (RS-24).
func FuzzProof(f *testing.F) {
	for _, algorithm := range jose.Algorithms {
		proof, err := pop.NewProof(newSigner(f, algorithm), pop.Request{Method: "POST", URL: tokenURL, Now: now}, "n")
		must(f, err)
		f.Add(proof, tokenURL)
	}
	f.Add(rfcTokenProof, "https://server.example.com/token?a=b")
	f.Add(rfcResourceProof, "https://resource.example.org:443/%70rotectedresource")
	f.Add("..", "")
	f.Fuzz(func(t *testing.T, compact, url string) {
		proof, err := pop.ParseProof(compact)
		if _, typed := errors.AsType[*pop.Fault](err); err != nil && !typed {
			t.Fatalf("%v is no Fault", err)
		}
		if err != nil {
			return
		}
		if len(proof.Thumbprint) != 43 || proof.ID == "" || len(proof.ID) > 256 || len(proof.ReplayID()) != 43 {
			t.Fatalf("proof %+v", proof)
		}
		otherwise(t, compact, proof)
		request := pop.Request{Method: proof.Method, URL: url, Now: proof.IssuedAt}
		if proof.Check(request) != nil {
			return
		}
		request.URL = "https://other.test/"
		if proof.URL != request.URL && url != request.URL && proof.Check(request) == nil {
			t.Fatalf("htu %q is good for %q and for %q", proof.URL, url, request.URL)
		}
	})
}

// otherwise verifies a proof with jwx.
func otherwise(t *testing.T, compact string, proof *pop.Proof) {
	t.Helper()
	message, err := jws.Parse([]byte(compact), jws.WithCompact())
	if err != nil {
		t.Fatalf("we take %q, jwx does not read it: %v", compact, err)
	}
	headers := message.Signatures()[0].ProtectedHeaders()
	key, _ := headers.JWK()
	algorithm, _ := headers.Algorithm()
	var public any
	if err := jwk.Export(key, &public); err != nil {
		t.Fatalf("we take %q, jwx does not take its key: %v", compact, err)
	}
	if _, err := jws.Verify([]byte(compact), jws.WithKey(algorithm, public)); err != nil {
		t.Fatalf("we take %q, jwx does not verify it: %v", compact, err)
	}
	if thumbprint, err := jose.Thumbprint(public); err != nil || thumbprint != proof.Thumbprint {
		t.Fatalf("thumbprint %s, error %v, want %s", thumbprint, err, proof.Thumbprint)
	}
}

// FuzzURL looks for two URLs that are one for us and not for another: whose hosts differ, or whose decoded paths do, or
// that are one only in one direction.
func FuzzURL(f *testing.F) {
	f.Add("https://as.example/token", "HTTPS://AS.EXAMPLE:443/token?a#b")
	f.Add("https://as.example/a/%2e%2e/b", "https://as.example/b")
	f.Add("http://[::1]:80", "http://[::1]/")
	f.Add("https://ban\u212a.example/", "https://bank.example/")
	f.Add("https://as.example/%7Euser%2fx", "https://as.example/~user%2Fx")
	signer := newSigner(f, jose.Ed25519)
	good := func(t *testing.T, htu, url string) bool {
		compact, err := pop.NewProof(signer, pop.Request{Method: "POST", URL: htu, Now: now}, "")
		must(t, err)
		return judge(compact, pop.Request{Method: "POST", URL: url, Now: now}) == nil
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if !utf8.ValidString(a) || !utf8.ValidString(b) || !good(t, a, b) {
			return
		}
		if !good(t, b, a) {
			t.Fatalf("%q is %q, but not the other way round", a, b)
		}
		left, err := url.Parse(strings.SplitN(strings.ReplaceAll(a, "#", "?"), "?", 2)[0])
		must(t, err)
		right, err := url.Parse(strings.SplitN(strings.ReplaceAll(b, "#", "?"), "?", 2)[0])
		must(t, err)
		if lower(left.Hostname()) != lower(right.Hostname()) || path.Clean("/"+left.Path) != path.Clean("/"+right.Path) {
			t.Fatalf("%q is %q", a, b)
		}
	})
}

// lower changes nothing but ASCII: other letters that fold into one are other hosts.
func lower(host string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, host)
}
