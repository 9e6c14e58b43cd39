package authority

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// FuzzBasic: whatever header is read, its base64 is the one spelling of it, the ID is one that a client can have, and both
// halves come back when they are written and read again.
func FuzzBasic(f *testing.F) {
	for _, header := range []string{
		"", "Basic", "Basic ", "Basic YTpi", "basic   YTpi", "Basic YTpi=", "Basic YTpj", "Basic YTpi\n", "Bearer YTpi",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("a%3Ab:p%25w%2B%C3%BC")), "Basic Og==", "Basic Oh==",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("a%00b:%ff")),
	} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got, some := clientSecretBasic.present(&Request{Authorization: []string{header}})
		if got.clientID == "" {
			return
		}
		scheme, encoded, _ := strings.Cut(header, " ")
		encoded = strings.TrimLeft(encoded, " ")
		if !some || !strings.EqualFold(scheme, "Basic") {
			t.Fatalf("%q is not Basic", header)
		}
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || base64.StdEncoding.EncodeToString(decoded) != strings.NewReplacer("\r", "", "\n", "").Replace(encoded) {
			t.Fatalf("%q is another spelling of its base64", header)
		}
		for _, c := range got.clientID {
			if c < 0x20 || c > 0x7e {
				t.Fatalf("client ID %q", got.clientID)
			}
		}
		again := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(got.clientID) + ":" + url.QueryEscape(got.secret)))
		if same := basic("Basic " + again); same.clientID != got.clientID || same.secret != got.secret {
			t.Fatalf("%q is read as %+v, and that as %+v", header, got, same)
		}
	})
}

// FuzzDecode: a token is one that was issued, to the last character, or none.
func FuzzDecode(f *testing.F) {
	a, s := traced(f)
	opaque := store.Resource{URI: "https://o.test", Format: store.FormatOpaque, Algorithm: jose.ES256, Scopes: []store.Scope{{Name: "read"}}}
	must(f, s.Store.Resources().Insert(f.Context(), opaque))
	known, err := s.Store.Clients().Get(f.Context(), "known")
	must(f, err)
	known.Grants = append(known.Grants, store.Grant{Resource: opaque.URI, Scopes: []string{"read"}})
	must(f, s.Store.Clients().Put(f.Context(), known))
	must(f, a.Poll(f.Context()))
	issued := map[string]bool{}
	for _, resource := range []string{"https://a.test", opaque.URI} {
		r := as("known", "right", oauth.ClientSecretBasic)
		r.Form.set("resource", resource)
		answer, err := a.Token(f.Context(), r)
		must(f, err)
		token := answer.AccessToken
		issued[token] = true
		f.Add(token, uint(0), byte(0))
		for _, variant := range []string{token + "=", token + "\n", " " + token, token[:len(token)-1], strings.ToUpper(token), "." + token, ""} {
			f.Add(variant, uint(0), byte(0))
		}
	}
	f.Fuzz(func(t *testing.T, token string, at uint, with byte) {
		// The fuzzer's own text, and both issued tokens with one byte of it changed or put in.
		candidates := []string{token}
		for good := range issued {
			i := int(at % uint(len(good)))
			candidates = append(candidates, good[:i]+string([]byte{with})+good[i+1:], good[:i]+string([]byte{with})+good[i:], good[:i]+good[i+1:])
		}
		for _, candidate := range candidates {
			claims, err := a.decode(candidate)
			if (err == nil) != issued[candidate] {
				t.Fatalf("%q is taken as %+v, %v", candidate, claims, err)
			}
		}
	})
}

// FuzzAssertion: an assertion is the one that was signed, to the last character, or nobody's; and whoever it names is
// somebody who could be a client.
func FuzzAssertion(f *testing.F) {
	a, s := traced(f)
	must(f, s.Store.Clients().Insert(f.Context(), keyed(f, "one", "ES256 a", "PS256 a", "Ed25519 a")))
	known, err := a.directory.read(f.Context(), "one")
	must(f, err)
	signed := map[string]bool{}
	for _, key := range []string{"ES256 a", "PS256 a", "Ed25519 a"} {
		compact := asserting(f, "one", key, key).Form.Get("client_assertion")
		signed[compact] = true
		for _, variant := range []string{compact, compact + "=", compact[:len(compact)-1], " " + compact, strings.ToUpper(compact), "." + compact} {
			f.Add(variant, uint(0), byte(0))
		}
	}
	f.Fuzz(func(t *testing.T, text string, at uint, with byte) {
		candidates := []string{text}
		for good := range signed {
			i := int(at % uint(len(good)))
			candidates = append(candidates, good[:i]+string([]byte{with})+good[i+1:], good[:i]+string([]byte{with})+good[i:], good[:i]+good[i+1:])
		}
		for _, candidate := range candidates {
			r := &Request{Form: formOf(url.Values{"client_assertion": {candidate}, "client_assertion_type": {oauth.AssertionTypeJWT}})}
			presented, err := r.presented()
			if err != nil {
				t.Fatalf("%q: %v", candidate, err)
			}
			if identifier(presented.clientID) != presented.clientID {
				t.Fatalf("%q names %q", candidate, presented.clientID)
			}
			_, why := a.verify(t.Context(), known, presented)
			if (why == nil) != signed[candidate] {
				t.Fatalf("%q is taken as %+v: %v", candidate, presented, why)
			}
		}
	})
}
