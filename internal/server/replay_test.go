package server

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store/storetest"
	"github.com/writ-auth/writ/oauth"
)

// A keyed client authenticates with assertions, and can make DPoP proofs. What it sends is made with go-jose.
type keyed struct {
	id  string
	key crypto.Signer
}

// newKeyed registers a client with a key at a node.
func (r *running) newKeyed(t *testing.T, name string) keyed {
	t.Helper()
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(gojose.JSONWebKeySet{Keys: []gojose.JSONWebKey{{Key: key.Public(), KeyID: "one", Algorithm: jose.ES256}}})
	if err != nil {
		t.Fatal(err)
	}
	made := r.newClient(t, name, func(m *oauth.ClientMetadata) { m.TokenEndpointAuthMethod, m.JWKS = oauth.PrivateKeyJWT, keys })
	return keyed{made.ID, key}
}

func (k keyed) sign(t *testing.T, options *gojose.SignerOptions, claims map[string]any) string {
	t.Helper()
	signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.ES256, Key: k.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// assertion returns a form that authenticates by a new assertion.
func (k keyed) assertion(t *testing.T, issuer string) url.Values {
	t.Helper()
	now := time.Now().Unix()
	return url.Values{
		"grant_type": {"client_credentials"}, "client_assertion_type": {oauth.AssertionTypeJWT},
		"client_assertion": {k.sign(t, nil, map[string]any{
			"iss": k.id, "sub": k.id, "aud": issuer, "jti": rand.Text(), "iat": now, "exp": now + 120,
		})},
	}
}

func (k keyed) proof(t *testing.T, address string) string {
	t.Helper()
	options := (&gojose.SignerOptions{EmbedJWK: true}).WithType(oauth.TypeDPoP)
	return k.sign(t, options, map[string]any{"jti": rand.Text(), "htm": "POST", "htu": address, "iat": time.Now().Unix()})
}

// ask sends a token request to a node and returns status, error code and Retry-After.
func (r *running) ask(t *testing.T, form url.Values, proof string) (status int, code, retryAfter string) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, r.base()+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Error(err)
		return 0, "", ""
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if proof != "" {
		request.Header.Set("DPoP", proof)
	}
	response, err := r.http.Do(request)
	if err != nil {
		t.Error(err)
		return 0, "", ""
	}
	defer response.Body.Close()
	var answer struct{ Error string }
	data, _ := io.ReadAll(response.Body)
	_ = json.Unmarshal(data, &answer)
	return response.StatusCode, answer.Error, response.Header.Get("Retry-After")
}

const (
	copies = 48
	rounds = 4
)

// onlyOne sends copies of one request to nodes at once, and checks that one of them is answered with a token and all others
// are refused with the code.
func onlyOne(t *testing.T, nodes []*running, code string, request func(round int) (url.Values, func() url.Values, string)) {
	t.Helper()
	for round := range rounds {
		form, further, proof := request(round)
		forms := []url.Values{form}
		for len(forms) < copies {
			forms = append(forms, further())
		}
		var mu sync.Mutex
		answers := map[string]int{}
		var group sync.WaitGroup
		begin := make(chan struct{})
		for i, form := range forms {
			group.Go(func() {
				<-begin
				status, refusal, _ := nodes[i%len(nodes)].ask(t, form, proof)
				mu.Lock()
				answers[strings.TrimSpace(fmt.Sprint(status, " ", refusal))]++
				mu.Unlock()
			})
		}
		close(begin)
		group.Wait()
		// A flood of refusals from one address is throttled, and a busy machine may have to put some off.
		refused := answers[code] + answers["429 temporarily_unavailable"] + answers["503 temporarily_unavailable"]
		if answers["200"] != 1 || answers[code] == 0 || refused != copies-1 {
			t.Errorf("round %d: %v, want one 200 and %d %s", round, answers, copies-1, code)
		}
	}
}

// replayed runs the two replays of an assertion and of a proof on nodes that share a store.
func replayed(t *testing.T, nodes []*running) {
	t.Helper()
	issuer := nodes[0].IssuerURL()
	var clients []keyed // one a round: whose refusals come too fast is throttled
	for round := range rounds {
		clients = append(clients, nodes[0].newKeyed(t, fmt.Sprint("billing-", round)))
	}
	proving := nodes[0].newKeyed(t, "proving")
	time.Sleep(time.Second) // the promised bound within which every node knows the clients
	t.Run("J24, CA-18 copies of one assertion at once: one token", func(t *testing.T) {
		onlyOne(t, nodes, "401 invalid_client", func(round int) (url.Values, func() url.Values, string) {
			form := clients[round].assertion(t, issuer)
			return form, func() url.Values { return form }, ""
		})
	})
	t.Run("D12, CA-38 copies of one proof at once, each with an assertion of its own: one token", func(t *testing.T) {
		onlyOne(t, nodes, "400 invalid_dpop_proof", func(int) (url.Values, func() url.Values, string) {
			further := func() url.Values { return proving.assertion(t, issuer) }
			return further(), further, proving.proof(t, issuer+"/token")
		})
	})
}

// TestReplayAtOnce holds that single use is single however many ask at once: on one node with SQLite, and on three nodes with
// one PostgreSQL.
func TestReplayAtOnce(t *testing.T) {
	t.Parallel()
	t.Run("one node, SQLite", func(t *testing.T) {
		replayed(t, []*running{start(t, testConfig(t))})
	})
	t.Run("three nodes, PostgreSQL", func(t *testing.T) {
		dsn := storetest.PostgreSQL(t)
		var nodes []*running
		for range 3 {
			c := testConfig(t)
			c.Database, c.Issuer = dsn, "https://as.example"
			if len(nodes) > 0 {
				c.RootKey = nodes[0].config.rootKeyPath()
			}
			nodes = append(nodes, start(t, c))
		}
		replayed(t, nodes)
	})
}

// TestReplayAcrossRestart holds that an assertion and a proof stay used when the server was stopped in between.
func TestReplayAcrossRestart(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, c Config) {
		c.Issuer = "https://as.example"
		r := start(t, c)
		client := r.newKeyed(t, "billing")
		form, proof := client.assertion(t, c.Issuer), client.proof(t, c.Issuer+"/token")
		if status, code, _ := r.ask(t, form, proof); status != http.StatusOK {
			t.Fatalf("got %d %s", status, code)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		again := start(t, c)
		t.Run("ST-07, J23 an assertion used before the restart", func(t *testing.T) {
			if status, code, _ := again.ask(t, form, ""); status != http.StatusUnauthorized || code != "invalid_client" {
				t.Errorf("got %d %s", status, code)
			}
		})
		t.Run("ST-07, D12 a proof used before the restart", func(t *testing.T) {
			status, code, _ := again.ask(t, client.assertion(t, c.Issuer), proof)
			if status != http.StatusBadRequest || code != "invalid_dpop_proof" {
				t.Errorf("got %d %s", status, code)
			}
		})
	})
}

// TestReplayWithoutDatabase holds that an assertion which cannot be remembered is refused for now and not believed, and that
// none is forgotten meanwhile.
func TestReplayWithoutDatabase(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	var database *wire
	database, c.Database = newWire(t, storetest.PostgreSQL(t))
	r := start(t, c)
	issuer, client := r.IssuerURL(), r.newKeyed(t, "billing")
	secret := r.newClient(t, "secretive", nil)
	used := client.assertion(t, issuer)
	if status, code, _ := r.ask(t, used, ""); status != http.StatusOK {
		t.Fatalf("got %d %s", status, code)
	}
	r.token(t, secret) // both are in the copy
	database.set(true)
	until(t, "the server notices that the database is away", func() bool {
		_, body := r.health(t, "/readyz")
		return strings.Contains(body, `"store":"unreachable"`)
	})
	fresh := client.assertion(t, issuer)
	for name, form := range map[string]url.Values{"new": fresh, "used": used} {
		status, code, after := r.ask(t, form, "")
		if seconds, err := strconv.Atoi(after); status != http.StatusServiceUnavailable || code != "temporarily_unavailable" || err != nil || seconds < 1 {
			t.Errorf("database away, %s assertion: got %d %s, Retry-After %q, want 503", name, status, code, after)
		}
	}
	r.token(t, secret) // a secret needs no memory
	database.set(false)
	until(t, "the server has the database back", func() bool {
		_, body := r.health(t, "/readyz")
		return strings.Contains(body, `"store":"ok"`)
	})
	if status, code, _ := r.ask(t, used, ""); status != http.StatusUnauthorized || code != "invalid_client" {
		t.Errorf("the used assertion, afterwards: got %d %s", status, code)
	}
	if status, code, _ := r.ask(t, fresh, ""); status != http.StatusOK {
		t.Errorf("the assertion that was not believed for want of memory: got %d %s, want 200", status, code)
	}
}
