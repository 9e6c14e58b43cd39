package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store/storetest"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// A running server, stopped when its test ends.
type running struct {
	*Server
	log  *logged
	stop func() error // idempotent
	http *http.Client
}

// testConfig is the default on free ports, in a directory of its own.
func testConfig(t testing.TB) Config {
	t.Helper()
	c := Default()
	c.Listen, c.Admin.Listen, c.Data, c.Log.Level = "127.0.0.1:0", "127.0.0.1:0", filepath.Join(t.TempDir(), "data"), "debug"
	return c
}

func start(t testing.TB, c Config) *running {
	t.Helper()
	return startAt(t, c, nil)
}

// startAt starts a server with a clock of its own.
func startAt(t testing.TB, c Config, now func() time.Time) *running {
	t.Helper()
	return startWith(t, c, Options{Now: now})
}

func startWith(t testing.TB, c Config, options Options) *running {
	t.Helper()
	log := &logged{}
	options.Logger = NewLogger(log, c.Log)
	s, err := New(t.Context(), c, options)
	if err != nil {
		t.Fatal(err)
	}
	return serving(t, s, log)
}

// serving runs a server until the test is over.
func serving(t testing.TB, s *Server, log *logged) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	r := &running{Server: s, log: log, http: &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}}
	var stopped bool
	var result error
	r.stop = func() error {
		if !stopped {
			stopped = true
			cancel()
			result = <-done
		}
		return result
	}
	t.Cleanup(func() {
		r.http.CloseIdleConnections()
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// base is where this node listens, whatever the issuer is called.
func (r *running) base() string { return r.public.url(r.config.Listen) }

const testResource = "https://orders.example"

// newClient registers a client that may have orders:read, and the resource if it is not there.
func (r *running) newClient(t testing.TB, name string, change func(*oauth.ClientMetadata)) registry.Registered {
	t.Helper()
	actor := registry.System("test")
	_, err := r.registry.CreateResource(t.Context(), actor, registry.ResourceSettings{
		URI: testResource, Scopes: []registry.Scope{{Name: "orders:read"}, {Name: "orders:write"}},
	})
	if err != nil && !strings.Contains(err.Error(), "exists") {
		t.Fatal(err)
	}
	metadata := oauth.ClientMetadata{
		ClientName: name, ResourceServerFor: []string{testResource},
		Grants: []oauth.Grant{{Resource: testResource, Scopes: []string{"orders:read"}, Defaults: []string{"orders:read"}}},
	}
	if change != nil {
		change(&metadata)
	}
	made, err := r.registry.CreateClient(t.Context(), actor, metadata)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// post sends a form with Basic credentials and returns the status and the JSON.
func (r *running) post(t *testing.T, path string, client registry.Registered, form url.Values) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.base()+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(client.ID, client.Secret.Reveal())
	response, err := r.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if len(data) > 0 {
		if err := json.Unmarshal(data, &answer); err != nil {
			t.Fatalf("%s answered %d %q", path, response.StatusCode, data)
		}
	}
	return response.StatusCode, answer
}

func (r *running) token(t *testing.T, client registry.Registered) string {
	t.Helper()
	status, answer := r.post(t, "/token", client, url.Values{"grant_type": {"client_credentials"}})
	token, _ := answer["access_token"].(string)
	if status != http.StatusOK || token == "" {
		t.Fatalf("token endpoint answered %d %v", status, answer)
	}
	return token
}

// active asks the introspection endpoint.
func (r *running) active(t *testing.T, client registry.Registered, token string) bool {
	t.Helper()
	status, answer := r.post(t, "/introspect", client, url.Values{"token": {token}})
	if status != http.StatusOK {
		t.Fatalf("introspection answered %d %v", status, answer)
	}
	return answer["active"] == true
}

func TestFirstStart(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	r := start(t, c)
	for name, want := range map[string]os.FileMode{".": 0o700, "root.key": 0o600, "operator.json": 0o600, "writ.db": 0o600, "audit": 0o700} {
		info, err := os.Stat(filepath.Join(c.Data, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
	data, err := os.ReadFile(filepath.Join(c.Data, "operator.json"))
	if err != nil {
		t.Fatal(err)
	}
	var operator Credential
	if err := json.Unmarshal(data, &operator); err != nil {
		t.Fatal(err)
	}
	if operator.Issuer != r.IssuerURL() || operator.Admin != r.AdminURL() || operator.ClientID == "" {
		t.Errorf("got %+v", operator)
	}
	if strings.Contains(r.log.String(), operator.ClientSecret) || operator.ClientSecret == "" {
		t.Error("the operator's secret is in the log, or there is none")
	}
	client := r.newClient(t, "billing", nil)
	if token := r.token(t, client); !r.active(t, client, token) {
		t.Error("a fresh token is not active")
	}
}

// freeAddress returns an address of loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// everyDatabase runs a test on SQLite and on PostgreSQL.
func everyDatabase(t *testing.T, test func(t *testing.T, c Config)) {
	t.Run("sqlite", func(t *testing.T) { test(t, testConfig(t)) })
	t.Run("postgres", func(t *testing.T) {
		c := testConfig(t)
		c.Database = storetest.PostgreSQL(t)
		test(t, c)
	})
}

// TestServe is the whole thing: a machine is registered, gets a token with our client library, calls an API that is
// protected by our resource library, and is refused when the token was revoked.
func TestServe(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, c Config) {
		c.Listen = freeAddress(t) // one issuer before and after the restart
		r := start(t, c)
		caller, api := r.newClient(t, "billing", nil), r.newClient(t, "orders-api", nil)
		verifier, err := resource.NewVerifier(resource.Config{
			Issuer: r.IssuerURL(), Audience: testResource,
			Introspection: &resource.Introspection{ClientID: api.ID, ClientSecret: resource.Secret(api.Secret.Reveal()), Always: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.Handle("GET /orders", verifier.Require("orders:read").Func(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "orders for "+resource.FromContext(r.Context()).ClientID)
		}))
		mux.Handle("POST /orders", verifier.Require("orders:write").Func(func(http.ResponseWriter, *http.Request) {}))
		backend := httptest.NewServer(mux)
		defer backend.Close()
		source, err := client.New(client.Config{
			Issuer: r.IssuerURL(), ClientID: caller.ID, Credential: client.Secret(caller.Secret.Reveal()), Resource: testResource, Scope: "orders:read",
		})
		if err != nil {
			t.Fatal(err)
		}
		token, err := source.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		call := func(method string, want int) string {
			t.Helper()
			request, _ := http.NewRequestWithContext(t.Context(), method, backend.URL+"/orders", nil)
			request.Header.Set("Authorization", "Bearer "+token.AccessToken())
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			if response.StatusCode != want {
				t.Fatalf("%s: got %d %s %s, want %d", method, response.StatusCode, response.Header, body, want)
			}
			return string(body)
		}
		if got := call(http.MethodGet, http.StatusOK); got != "orders for "+caller.ID {
			t.Errorf("the API answered %q", got)
		}
		call(http.MethodPost, http.StatusForbidden)
		if status, answer := r.post(t, "/revoke", caller, url.Values{"token": {token.AccessToken()}}); status != http.StatusOK {
			t.Fatalf("revoke: %d %v", status, answer)
		}
		if r.active(t, api, token.AccessToken()) {
			t.Error("introspection calls the revoked token active")
		}
		call(http.MethodGet, http.StatusUnauthorized)

		kept := r.token(t, caller)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		again := start(t, c)
		if !again.active(t, api, kept) {
			t.Error("after a restart a token from before is not active")
		}
		if again.active(t, api, token.AccessToken()) {
			t.Error("a restart brought the revoked token back")
		}
		if fresh := again.token(t, caller); !again.active(t, api, fresh) {
			t.Error("after a restart no token is active")
		}
	})
}

// A clock that tests move.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time      { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) add(d time.Duration) { c.offset.Add(int64(d)) }

func TestTwoNodes(t *testing.T) {
	t.Parallel()
	dsn, clock := storetest.PostgreSQL(t), &clock{}
	node := func() *running {
		c := testConfig(t)
		c.Database, c.Issuer = dsn, "https://as.example"
		return startAt(t, c, clock.now)
	}
	one := node()
	shared := one.config.rootKeyPath()

	t.Run("ST-17 a second node with a root key of its own is refused, and leaves nothing behind", func(t *testing.T) {
		c := testConfig(t)
		c.Database, c.Issuer = dsn, "https://as.example"
		if s, err := New(t.Context(), c, Options{Logger: slog.New(slog.DiscardHandler)}); err == nil {
			s.Close()
			t.Fatal("it started")
		}
		if _, err := os.Stat(c.rootKeyPath()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("root key: %v", err)
		}
	})

	c := testConfig(t)
	c.Database, c.Issuer, c.RootKey = dsn, "https://as.example", shared
	two := startAt(t, c, clock.now)
	if _, err := os.Stat(filepath.Join(c.Data, "operator.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the second node made an operator of its own: %v", err)
	}
	caller := one.newClient(t, "billing", nil)

	t.Run("a token of one node is good at the other", func(t *testing.T) {
		time.Sleep(time.Second) // the promised bound of propagation: the resource was made a moment ago
		if !two.active(t, caller, one.token(t, caller)) || !one.active(t, caller, two.token(t, caller)) {
			t.Error("it is not")
		}
	})
	t.Run("AS-32 a token revoked at one node is dead at both", func(t *testing.T) {
		token := one.token(t, caller)
		if !two.active(t, caller, token) {
			t.Fatal("it was never alive at the other")
		}
		if status, answer := one.post(t, "/revoke", caller, url.Values{"token": {token}}); status != http.StatusOK {
			t.Fatalf("revoke: %d %v", status, answer)
		}
		revoked := time.Now()
		if one.active(t, caller, token) {
			t.Error("it is alive at the same node")
		}
		time.Sleep(time.Until(revoked.Add(time.Second))) // the promised bound
		if two.active(t, caller, token) {
			t.Error("a second later it is alive at the other node")
		}
	})
	t.Run("AS-26 a client suspended at one node is refused at the other", func(t *testing.T) {
		off := one.newClient(t, "off", nil)
		token := two.token(t, off) // the other node knows the client
		if _, err := one.registry.SuspendClient(t.Context(), registry.System("test"), off.ID); err != nil {
			t.Fatal(err)
		}
		suspended := time.Now()
		if status, answer := one.post(t, "/token", off, url.Values{"grant_type": {"client_credentials"}}); status != http.StatusUnauthorized {
			t.Errorf("the same node answered %d %v", status, answer)
		}
		time.Sleep(time.Until(suspended.Add(time.Second))) // the promised bound
		if status, answer := two.post(t, "/token", off, url.Values{"grant_type": {"client_credentials"}}); status != http.StatusUnauthorized || answer["error"] != "invalid_client" {
			t.Errorf("a second later the other node answered %d %v", status, answer)
		}
		if two.active(t, caller, token) {
			t.Error("its token is alive")
		}
	})
	t.Run("ST-16 two nodes that rotate at once make one key", func(t *testing.T) {
		before := signingKeys(t, one)
		clock.add(29*24*time.Hour + time.Hour) // within the announcement of the next key
		var group sync.WaitGroup
		for range 4 {
			for _, node := range []*running{one, two} {
				group.Go(func() {
					if err := node.ring.Tick(context.Background()); err != nil {
						t.Error(err)
					}
				})
			}
		}
		group.Wait()
		after := signingKeys(t, one)
		if len(before) != 1 || len(after) != 2 || after[0] == after[1] {
			t.Errorf("keys before %v, after %v; want one more", before, after)
		}
		if got := signingKeys(t, two); !slices.Equal(got, after) {
			t.Errorf("the other node publishes %v, want %v", got, after)
		}
		clock.add(24 * time.Hour) // the new one signs
		if !two.active(t, caller, one.token(t, caller)) || !one.active(t, caller, two.token(t, caller)) {
			t.Error("tokens of the new key are not good at the other node")
		}
	})
	t.Run("a key rotated by hand at one node is published by the other", func(t *testing.T) {
		key, err := one.ring.Rotate(t.Context(), jose.ES256, true)
		if err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(15 * time.Second)
		for !slices.Contains(signingKeys(t, two), key.ID) {
			if time.Now().After(deadline) {
				t.Fatal("it is not")
			}
			time.Sleep(50 * time.Millisecond)
		}
		if !two.active(t, caller, one.token(t, caller)) {
			t.Error("its tokens are not good at the other node")
		}
	})
}

// signingKeys returns the key IDs that a node publishes for the default algorithm, sorted.
func signingKeys(t *testing.T, r *running) []string {
	t.Helper()
	response, err := r.http.Get(r.base() + "/jwks")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jose.ParseJWKS(data)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, key := range keys {
		if key.Algorithm == jose.ES256 {
			ids = append(ids, key.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func TestST17(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, c Config) {
		c.Issuer = "https://as.example"
		first := start(t, c)
		caller := first.newClient(t, "billing", nil)
		token, keys := first.token(t, caller), signingKeys(t, first)
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		path := c.rootKeyPath()
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		refused := func(want string) {
			t.Helper()
			s, err := New(t.Context(), c, Options{Logger: slog.New(slog.DiscardHandler)})
			if err == nil {
				s.Close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %q and the path", err, want)
			}
		}
		remove(t, path)
		refused("is missing")
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("ST-17 a root key was made over sealed keys: %v", err)
		}
		if _, err := keyring.CreateRoot(path); err != nil {
			t.Fatal(err)
		}
		refused("not the one that sealed")
		if _, err := os.Stat(path); err != nil {
			t.Errorf("ST-17 a root key that was put there is gone: %v", err)
		}
		chmod(t, path, 0o644)
		refused("can be read by others")
		remove(t, path)
		if err := os.WriteFile(path, []byte("garbage\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		refused("not a root key")
		if err := os.WriteFile(path, kept, 0o600); err != nil {
			t.Fatal(err)
		}
		again := start(t, c)
		if got := signingKeys(t, again); !slices.Equal(got, keys) {
			t.Errorf("ST-17 keys are %v, want the old ones %v", got, keys)
		}
		if !again.active(t, caller, token) {
			t.Error("ST-17 with the right root key the old token is not active")
		}
	})
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestInit(t *testing.T) {
	everyDatabase(t, func(t *testing.T, c Config) {
		c.Listen, c.Admin.Listen = freeAddress(t), freeAddress(t)
		made, err := Init(t.Context(), c, false)
		if err != nil || made.OperatorSecret == "" {
			t.Fatalf("got %+v, %v", made, err)
		}
		again, err := Init(t.Context(), c, false)
		if err != nil || again.OperatorSecret != "" {
			t.Errorf("a second time made an operator: %v", err)
		}
		reset, err := Init(t.Context(), c, true)
		if err != nil || reset.OperatorSecret == "" || reset.OperatorSecret == made.OperatorSecret || reset.OperatorID != made.OperatorID {
			t.Errorf("a new secret: %v", err)
		}
		r := start(t, c)
		if r.IssuerURL() != made.Issuer {
			t.Errorf("the issuer is %s, and Init said %s", r.IssuerURL(), made.Issuer)
		}
	})
}

// Two nodes that both find an empty database make one root key between them: the one that comes second is refused, and its
// own root key, which has sealed nothing, is not left in the way of the right one.
func TestST17TwoFirstNodes(t *testing.T) {
	t.Parallel()
	for range 3 {
		dsn := storetest.PostgreSQL(t)
		var servers [2]*Server
		var errs [2]error
		var configs [2]Config
		var group sync.WaitGroup
		for i := range servers {
			configs[i] = testConfig(t)
			configs[i].Database, configs[i].Issuer = dsn, "https://as.example"
			if _, err := Migrate(t.Context(), configs[i], false); err != nil { // so that they start from the same line
				t.Fatal(err)
			}
		}
		for i := range servers {
			group.Go(func() {
				servers[i], errs[i] = New(t.Context(), configs[i], Options{Logger: slog.New(slog.DiscardHandler)})
			})
		}
		group.Wait()
		for i, s := range servers {
			_, noFile := os.Stat(configs[i].rootKeyPath())
			if (errs[i] == nil) != (noFile == nil) {
				t.Errorf("ST-17 node %d: started: %v; its root key: %v", i, errs[i], noFile)
			}
			if s != nil {
				s.Close()
			}
		}
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("ST-17 want one node to start and one to be refused; got %v and %v", errs[0], errs[1])
		}
	}
}

func TestRevocationsAreSwept(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	r := startAt(t, testConfig(t), clock.now)
	caller := r.newClient(t, "billing", nil)
	if status, answer := r.post(t, "/revoke", caller, url.Values{"token": {r.token(t, caller)}}); status != http.StatusOK {
		t.Fatalf("revoke: %d %v", status, answer)
	}
	kept := func() int {
		t.Helper()
		all, err := r.store.Revocations().List(t.Context(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	i := slices.IndexFunc(r.loops, func(l loop) bool { return l.name == "sweep" })
	if i < 0 || r.loops[i].every > time.Minute {
		t.Fatal("the server does not sweep every minute")
	}
	for _, step := range []struct {
		pass time.Duration
		want int
	}{{0, 1}, {time.Hour, 0}} {
		clock.add(step.pass)
		if err := r.loops[i].once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := kept(); got != step.want {
			t.Errorf("after %s %d revocations are kept, want %d", step.pass, got, step.want)
		}
	}
}
