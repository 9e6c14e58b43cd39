package endpoint_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
)

const badProof = "invalid_dpop_proof"

// TestDPoP is STANDARDS, 7.5, and CA-37 to CA-40 of SECURITY: one request each, with one thing that is special about it.
func TestDPoP(t *testing.T) {
	s := newProvingServer(t)
	for _, test := range []struct {
		name   string
		change func(*draft)
		reason string // "": a token
	}{
		{"D04 typ is missing", func(d *draft) { d.without("typ") }, "wrong_proof_type"},
		{"D04 typ is JWT", func(d *draft) { d.header["typ"] = "JWT" }, "wrong_proof_type"},
		{"D04 typ is that of an access token", func(d *draft) { d.header["typ"] = "at+jwt" }, "wrong_proof_type"},
		{"D03 alg is none", func(d *draft) { d.header["alg"] = "none" }, "malformed_proof"},
		{"D03 alg is HS256", func(d *draft) { d.header["alg"] = "HS256" }, "malformed_proof"},
		{"D03 alg is another's than the key's", func(d *draft) { d.header["alg"] = "PS256" }, "wrong_proof_signature"},
		{"D03 signed with another key", func(d *draft) { d.key = s.draft(t).key }, "wrong_proof_signature"},
		{"D05 jwk is missing", func(d *draft) { d.without("jwk") }, "malformed_proof"},
		{"D05, CA-39 jwk has d", func(d *draft) { d.header["jwk"].(map[string]any)["d"] = privateHalf(t, d) }, "malformed_proof"},
		{"D05, CA-39 jwk is symmetric", func(d *draft) {
			d.header["jwk"] = map[string]any{"kty": "oct", "k": strings.Repeat("A", 43)}
		}, "malformed_proof"},
		{"CA-39 jwk is not on the curve", func(d *draft) { d.header["jwk"].(map[string]any)["x"] = strings.Repeat("A", 43) }, "malformed_proof"},
		{"CA-39 jwk of 20 KiB", func(d *draft) { d.header["jwk"].(map[string]any)["kid"] = strings.Repeat("k", 20<<10) }, "malformed_proof"},
		{"D06, CA-37 htm is GET", func(d *draft) { d.claim("htm", "GET") }, "wrong_proof_method"},
		{"D06 htm is post", func(d *draft) { d.claim("htm", "post") }, "wrong_proof_method"},
		{"D07 htu of another host", func(d *draft) { d.claim("htu", "https://as.example.evil/token") }, "wrong_proof_url"},
		{"D07 htu of another path", func(d *draft) { d.claim("htu", "https://as.example/tokens") }, "wrong_proof_url"},
		{"D07, CA-37 htu of introspection", func(d *draft) { d.claim("htu", "https://as.example/introspect") }, "wrong_proof_url"},
		{"D07 htu with http", func(d *draft) { d.claim("htu", "http://as.example/token") }, "wrong_proof_url"},
		{"D08 htu with query and fragment", func(d *draft) { d.claim("htu", tokenURL+"?a=b#c") }, ""},
		{"D08 htu with the host in capitals", func(d *draft) { d.claim("htu", "https://AS.EXAMPLE/token") }, ""},
		{"D08 htu with the default port", func(d *draft) { d.claim("htu", "https://as.example:443/token") }, ""},
		{"D09 jti is missing", func(d *draft) { d.without("jti") }, "malformed_proof"},
		{"D09 htm is missing", func(d *draft) { d.without("htm") }, "malformed_proof"},
		{"D09 htu is missing", func(d *draft) { d.without("htu") }, "malformed_proof"},
		{"D09 iat is missing", func(d *draft) { d.without("iat") }, "malformed_proof"},
		{"D10 iat an hour ago", func(d *draft) { d.claim("iat", s.clock.Now().Unix()-3600) }, "stale_proof"},
		{"D10 iat in an hour", func(d *draft) { d.claim("iat", s.clock.Now().Unix()+3600) }, "early_proof"},
		{"D10 iat 61 s ago", func(d *draft) { d.claim("iat", s.clock.Now().Unix()-61) }, "stale_proof"},
		{"D10 iat 11 s ahead", func(d *draft) { d.claim("iat", s.clock.Now().Unix()+11) }, "early_proof"},
		{"D11 iat 10 s ago", func(d *draft) { d.claim("iat", s.clock.Now().Unix()-10) }, ""},
		{"D11 iat 8 s ahead", func(d *draft) { d.claim("iat", s.clock.Now().Unix()+8) }, ""},
		{"D11 iat 10 s ahead", func(d *draft) { d.claim("iat", s.clock.Now().Unix()+10) }, ""},
		{"D17 unknown header and claims", func(d *draft) { d.header["x"], d.claims["y"] = "z", []int{1} }, ""},
		{"D17 nbf and exp", func(d *draft) { d.claim("nbf", s.clock.Now().Unix()).claim("exp", s.clock.Now().Unix()+300) }, ""},
		{"D18, CA-37 ath is ignored", func(d *draft) { d.claim("ath", "of nothing") }, ""},
		{"D19 an algorithm that is not listed", func(d *draft) { d.header["alg"] = "ES512" }, "malformed_proof"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := s.draft(t)
			test.change(d)
			if test.reason != "" {
				s.prove(t, proving, []string{d.sign(t)}, badProof, test.reason)
				s.prove(t, proving, []string{s.draft(t).sign(t)}) // the client itself may
				return
			}
			got := s.prove(t, proving, []string{d.sign(t)})
			matches(t, claims(t, got.body), `{"cnf":{"jkt":"`+d.thumbprint(t)+`"}}`, false)
		})
	}
}

func privateHalf(t *testing.T, d *draft) string {
	t.Helper()
	private, err := d.key.Bytes()
	must(t, err)
	return base64.RawURLEncoding.EncodeToString(private)
}

// TestProofsThatAreNone are the headers that no draft can be.
func TestProofsThatAreNone(t *testing.T) {
	s := newProvingServer(t)
	good := s.draft(t).sign(t)
	parts := strings.Split(good, ".")
	for _, test := range []struct {
		name, reason string
		proofs       []string
	}{
		{"D02, CA-37 two headers", "many_proofs", []string{good, s.draft(t).sign(t)}},
		{"D02 the same header twice", "many_proofs", []string{good, good}},
		{"D02 two proofs in one header", "malformed_proof", []string{good + ", " + s.draft(t).sign(t)}},
		{"D03 an empty header", "malformed_proof", []string{""}},
		{"D03 not a JWT", "malformed_proof", []string{"proof"}},
		{"D03 no signature", "malformed_proof", []string{parts[0] + "." + parts[1] + "."}},
		{"D03 the signature of another proof", "wrong_proof_signature", []string{parts[0] + "." + parts[1] + "." + strings.Split(s.draft(t).sign(t), ".")[2]}},
		{"D03 an access token", "malformed_proof", []string{s.token(t, "c-basic", resourceA, "read")}},
		{"D05, CA-39 an RSA key of 1024 bits", "malformed_proof", []string{s.weakProof(t)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.prove(t, proving, test.proofs, badProof, test.reason)
			// Nor does anybody else get a token that is bound to less than was sent.
			s.prove(t, "c-basic", test.proofs, badProof, test.reason)
		})
	}
	s.prove(t, proving, []string{good}) // it was refused for what stood beside it
}

// weakProof is right in everything but the size of its key.
func (s *server) weakProof(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	d := s.draft(t)
	d.header["alg"] = "PS256"
	d.header["jwk"] = map[string]any{"kty": "RSA", "n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes())}
	header, err := json.Marshal(d.header)
	must(t, err)
	claims, err := json.Marshal(d.claims)
	must(t, err)
	input := encode(header) + "." + encode(claims)
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: 32})
	must(t, err)
	return input + "." + encode(signature)
}

// TestBoundToAProof is what a token says that was asked for with a proof, in every form.
func TestBoundToAProof(t *testing.T) {
	s := newProvingServer(t)
	t.Run("D01, CA-40 a JWT of a client that must prove", func(t *testing.T) {
		d := s.draft(t)
		got := s.prove(t, proving, []string{d.sign(t)})
		matches(t, got.body, `{"token_type":"DPoP"}`, false)
		matches(t, claims(t, got.body), `{"client_id":"c-dpop","cnf":{"jkt":"`+d.thumbprint(t)+`"}}`, false)
	})
	t.Run("D01 a JWT of a client that need not", func(t *testing.T) {
		d := s.draft(t)
		matches(t, claims(t, s.prove(t, "c-basic", []string{d.sign(t)}).body), `{"cnf":{"jkt":"`+d.thumbprint(t)+`"}}`, false)
	})
	t.Run("D01 without a proof it is a bearer token", func(t *testing.T) {
		if said := claims(t, s.prove(t, "c-basic", nil).body); strings.Contains(said, "cnf") {
			t.Errorf("got %s", said)
		}
	})
	t.Run("I10, I11, I14, CA-40 introspection tells, of a JWT and of an opaque token", func(t *testing.T) {
		for caller, uri := range map[string]string{"rs-a": resourceA, "rs-o": resourceO} {
			d := s.draft(t)
			response := s.tell(t, step{
				method: http.MethodPost, target: "/token", body: "grant_type=client_credentials&scope=read&resource=" + uri, status: 200,
				headers: []string{
					"Content-Type: application/x-www-form-urlencoded", "Authorization: " + basic(proving, secretOf(proving)), "dpop: " + d.sign(t),
				},
			})
			var issued struct {
				Token string `json:"access_token"`
			}
			must(t, json.Unmarshal([]byte(response.body), &issued))
			want := `{"active":true,"token_type":"DPoP","client_id":"c-dpop","cnf":{"jkt":"` + d.thumbprint(t) + `"}}`
			ask := step{method: http.MethodPost, target: "/introspect", status: 200, body: "token=" + issued.Token, headers: []string{
				"Content-Type: application/x-www-form-urlencoded", "Authorization: " + basic(caller, secretOf(caller)),
				"DPoP: of no interest here",
			}}
			matches(t, s.tell(t, ask).body, want, false)
			ask.headers = append(ask.headers, "Accept: application/token-introspection+jwt")
			var signed struct {
				Answer json.RawMessage `json:"token_introspection"`
			}
			must(t, json.Unmarshal([]byte(payload(t, s.tell(t, ask).body)), &signed))
			matches(t, string(signed.Answer), want, false)
		}
	})
}

func TestProofIsMissing(t *testing.T) {
	s := newProvingServer(t)
	t.Run("D15, CA-37 dpop_bound_access_tokens, and no proof", func(t *testing.T) {
		s.prove(t, proving, nil, "invalid_request", "no_proof")
		s.prove(t, proving, []string{s.draft(t).sign(t)})
	})
}

// TestSenderConstrainedOnly is a server that issues no bearer tokens (FAPI 2.0, 5.3.2.1-4).
func TestSenderConstrainedOnly(t *testing.T) {
	profile := authority.Profile{SenderConstrained: true, Algorithms: authority.FAPI2.Algorithms}
	s := newProvingServer(t, func(o *authority.Options) { o.Profile = profile })
	s.prove(t, "c-basic", nil, "invalid_request", "not_sender_constrained")
	s.prove(t, "c-basic", []string{s.draft(t).sign(t)})
	t.Run("D19 RS256 and ES384 are not for FAPI", func(t *testing.T) {
		for _, algorithm := range jose.Algorithms {
			signer := newSigner(t, algorithm)
			proof := s.proofBy(t, signer)
			if slices.Contains(profile.Algorithms, algorithm) {
				s.prove(t, proving, []string{proof})
				continue
			}
			s.prove(t, proving, []string{proof}, badProof, "wrong_proof_algorithm")
		}
	})
	t.Run("D19 the metadata lists what is taken", func(t *testing.T) {
		matches(t, s.get(t, "/.well-known/oauth-authorization-server").body,
			`{"dpop_signing_alg_values_supported":["ES256","Ed25519","EdDSA","PS256"]}`, false)
	})
}

// TestProofOrder: the client authenticates first, the sender constraint comes before resource and scope (STANDARDS,
// section 5), and nothing that is refused is remembered.
func TestProofOrder(t *testing.T) {
	s, w := watched(t)
	s.enrol(t, proving, func(c *store.Client) { c.DPoPBound = true })
	s.prove(t, proving, []string{s.draft(t).sign(t)})
	w.since()
	ask := func(secret, scope, proof, code, event string, status int) {
		t.Helper()
		s.tell(t, step{
			method: http.MethodPost, target: "/token", body: "grant_type=client_credentials&resource=" + resourceA + "&scope=" + scope, status: status,
			headers: []string{
				"Content-Type: application/x-www-form-urlencoded", "Authorization: " + basic(proving, secret), "DPoP: " + proof,
			},
			want: []string{"error " + code, "event token.refused " + event + " " + proving},
		})
	}
	good := s.draft(t).sign(t)
	ask("wrong", "read", good, "invalid_client", "wrong_secret", http.StatusUnauthorized)
	ask(secretOf(proving), "admin", s.draft(t).claim("htm", "GET").sign(t), badProof, "wrong_proof_method", http.StatusBadRequest)
	if calls := w.since(); slices.Contains(calls, "use dpop") {
		t.Errorf("the store was asked %q: a proof that is refused was remembered", calls)
	}
	s.prove(t, proving, []string{good})
	if calls := w.since(); !slices.Equal(calls, []string{"use dpop"}) {
		t.Errorf("the store was asked %q, want one use", calls)
	}
}

// TestProofsWithoutAStore: while nobody can say whether a proof was used before, no token leaves, and the proof is as good
// as it was.
func TestProofsWithoutAStore(t *testing.T) {
	for name, fail := range map[string]func(*watchedStore, bool){
		"away":      func(w *watchedStore, on bool) { w.down = on },
		"read-only": func(w *watchedStore, on bool) { w.readOnly = on },
	} {
		t.Run(name, func(t *testing.T) {
			s, w := watched(t)
			s.asks(t, "c-basic", http.StatusOK)
			proof := s.draft(t).sign(t)
			request := step{
				method: http.MethodPost, target: "/token", body: "grant_type=client_credentials&scope=read", status: http.StatusServiceUnavailable,
				headers: []string{
					"Content-Type: application/x-www-form-urlencoded", "Authorization: " + basic("c-basic", secretOf("c-basic")), "DPoP: " + proof,
				},
				want: []string{"Retry-After: 1", "error temporarily_unavailable", "event token.refused unavailable c-basic"},
			}
			w.set(func(w *watchedStore) { fail(w, true) })
			s.tell(t, request)
			s.asks(t, "c-basic", http.StatusOK) // a bearer token asks the store nothing
			w.set(func(w *watchedStore) { fail(w, false) })
			s.prove(t, "c-basic", []string{proof})
			s.prove(t, "c-basic", []string{proof}, badProof, "replayed_proof")
		})
	}
}

// TestReplayedProof: a proof is good for one token, by whoever sends it to whatever node, until its time is over.
func TestReplayedProof(t *testing.T) {
	s := newProvingServer(t)
	d := s.draft(t)
	proof := d.sign(t)
	s.prove(t, proving, []string{proof})
	t.Run("D12, CA-38 the same proof again", func(t *testing.T) {
		s.prove(t, proving, []string{proof}, badProof, "replayed_proof")
	})
	t.Run("D12 another signature of the same proof", func(t *testing.T) {
		again := d.sign(t)
		if again == proof {
			t.Fatal("it is the same signature")
		}
		s.prove(t, proving, []string{again}, badProof, "replayed_proof")
	})
	t.Run("D12 the same jti for another time and URL", func(t *testing.T) {
		d.claims["iat"], d.claims["htu"] = s.clock.Now().Unix()+5, tokenURL+"?other"
		s.prove(t, proving, []string{d.sign(t)}, badProof, "replayed_proof")
	})
	t.Run("D12 by another client", func(t *testing.T) {
		s.prove(t, "c-basic", []string{proof}, badProof, "replayed_proof")
	})
	t.Run("D12 at another node", func(t *testing.T) {
		serve(t, s.store, s.clock).prove(t, proving, []string{proof}, badProof, "replayed_proof")
	})
	t.Run("D12 to the last moment of its life", func(t *testing.T) {
		late := s.draft(t).claim("iat", s.clock.Now().Unix()+10).sign(t)
		s.prove(t, proving, []string{late})
		for _, step := range []time.Duration{0, 10 * time.Second, 59 * time.Second, time.Second} {
			s.clock.move(step)
			_, err := s.store.Sweep(t.Context(), s.clock.Now())
			must(t, err)
			s.prove(t, proving, []string{late}, badProof, "replayed_proof")
		}
		s.clock.move(time.Second)
		s.prove(t, proving, []string{late}, badProof, "stale_proof")
	})
	t.Run("D12 the same jti of another key is another proof", func(t *testing.T) {
		id := "canary-shared"
		s.prove(t, proving, []string{s.draft(t).claim("jti", id).sign(t)})
		s.prove(t, proving, []string{s.draft(t).claim("jti", id).sign(t)})
	})
}
