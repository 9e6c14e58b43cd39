package endpoint_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/endpoint"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/oauth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The resources of the fixture.
const (
	resourceA = "https://a.test"
	resourceB = "https://b.test"
	resourceO = "https://opaque.test"
	resourceM = "https://m1.test"
	resourceN = "https://m2.test"
)

// A clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// A buffer is a log that can be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A server is an issuer's endpoints on a real listener, with what stands behind them.
type server struct {
	issuer    string
	clock     *clock
	store     store.Store
	ring      *keyring.Ring
	journal   *audit.Journal
	authority *authority.Authority
	http      *httptest.Server
	log       *buffer
}

// A change of options makes a server that is not the usual one.
type change func(*authority.Options)

// root seals the keys of the fixture.
var root = []byte("the root key of a test server ..")

// newServer starts a server over a store in memory that has the fixture's clients and resources.
func newServer(t *testing.T, changes ...change) *server {
	t.Helper()
	s, c := memstore.New(), newClock()
	s.Now = c.Now // what was used once is forgotten by the clock of the test
	seed(t, s)
	c.move(-time.Hour) // the keys are older than the oldest token of a test
	srv := serve(t, s, c, changes...)
	c.move(time.Hour)
	srv.poll(t)
	return srv
}

// serve starts a server over a store; a second one over the same store is a second replica.
func serve(t *testing.T, s store.Store, c *clock, changes ...change) *server {
	t.Helper()
	ring, err := keyring.Open(t.Context(), s, keyring.Options{Root: root, Now: c.Now})
	must(t, err)
	options := authority.Options{
		Issuer: "https://as.example", Store: s, Ring: ring, Now: c.Now,
		Throttle: authority.Throttle{Off: true},
	}
	for _, apply := range changes {
		apply(&options)
	}
	if options.Journal == nil {
		options.Journal = audit.InMemory()
	}
	t.Cleanup(func() { _ = options.Journal.Close() }) // some tests have closed it
	a, err := authority.New(t.Context(), options)
	must(t, err)
	log := &buffer{}
	handler := endpoint.New(a, endpoint.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	srv := &server{options.Issuer, c, s, ring, options.Journal, a, httptest.NewServer(handler), log}
	t.Cleanup(srv.http.Close)
	return srv
}

// secrets are the fixture's client secrets. None of them may ever be seen again.
var secrets = map[string]string{
	"a:b":     "p%w+ü",
	"c-space": "canary secret with spaces",
	"c-old":   "canary-old-secret-of-c-rot",
}

func secretOf(id string) string {
	if secret, special := secrets[id]; special {
		return secret
	}
	return "canary-secret-of-" + id
}

func seed(t *testing.T, s store.Store) {
	t.Helper()
	resource := func(uri, format string, several bool, scopes ...string) {
		r := store.Resource{URI: uri, Format: format, Algorithm: jose.ES256, MultipleAudiences: several}
		for _, scope := range scopes {
			r.Scopes = append(r.Scopes, store.Scope{Name: scope})
		}
		must(t, s.Resources().Insert(t.Context(), r))
	}
	resource(resourceA, store.FormatJWT, false, "read", "write", "admin")
	resource(resourceB, store.FormatJWT, false, "read", "write", "b-only")
	resource(resourceO, store.FormatOpaque, false, "read", "write")
	resource(resourceM, store.FormatJWT, true, "read", "write", "m1-only")
	resource(resourceN, store.FormatJWT, true, "read", "write", "m2-only")
	for _, c := range clients() {
		c.Name = c.ID
		if c.AuthMethod == "" {
			c.AuthMethod = oauth.ClientSecretBasic
		}
		if c.GrantTypes == nil {
			c.GrantTypes = []string{oauth.ClientCredentials}
		}
		if c.Secrets == nil && c.AuthMethod != "none" {
			c.Secrets = []store.Secret{{ID: "1", Hash: store.HashSecret(secretOf(c.ID))}}
		}
		must(t, s.Clients().Insert(t.Context(), c))
	}
}

// clients are the clients of SECURITY, section 5, and those that STANDARDS, 7.1 and 7.2 need besides.
func clients() []store.Client {
	to := func(uri string, scopes ...string) store.Grant { return store.Grant{Resource: uri, Scopes: scopes} }
	both := []string{"read", "write"}
	a := []store.Grant{to(resourceA, both...)}
	past := newClock().Now().Add(-time.Second)
	rotating := []store.Secret{
		{ID: "1", Hash: store.HashSecret(secretOf("c-old")), Expires: newClock().Now().Add(time.Hour)},
		{ID: "2", Hash: store.HashSecret(secretOf("c-rot"))},
	}
	expired := []store.Secret{{ID: "1", Hash: store.HashSecret(secretOf("c-exp")), Expires: past}}
	return []store.Client{
		{ID: "c-basic", Grants: a},
		{ID: "c-post", Grants: a, AuthMethod: oauth.ClientSecretPost},
		{ID: "c-two", Grants: []store.Grant{to(resourceA, "read")}},
		{ID: "c-default", Grants: []store.Grant{{Resource: resourceA, Scopes: both, Defaults: []string{"read"}}}},
		{ID: "c-many", Grants: []store.Grant{to(resourceA, "read"), to(resourceB, "read", "b-only"), to(resourceO, "read")}},
		{ID: "c-shared", MultipleAudiences: true, Grants: []store.Grant{
			to(resourceM, "read", "write", "m1-only"), to(resourceN, "read", "m2-only"), to(resourceA, "read"), to(resourceO, "read"),
		}},
		{ID: "c-opaque", Grants: []store.Grant{to(resourceO, both...)}},
		{ID: "c-nothing"},
		{ID: "c-off", Grants: a, Suspended: true},
		{ID: "c-exp", Grants: a, Secrets: expired},
		{ID: "c-rot", Grants: a, Secrets: rotating},
		{ID: "c-jwt", Grants: a, AuthMethod: oauth.PrivateKeyJWT},
		{ID: "c-none", Grants: a, AuthMethod: "none"},
		{ID: "c-empty", Grants: a, Secrets: []store.Secret{{ID: "1", Hash: store.HashSecret("")}}},
		{ID: "c-bearer", Grants: a, GrantTypes: []string{"urn:ietf:params:oauth:grant-type:jwt-bearer"}},
		{ID: "c-nogrant", Grants: a, GrantTypes: []string{}},
		{ID: "a:b", Grants: a},
		{ID: "c-space", Grants: a},
		{ID: "rs-a", ResourceServerFor: []string{resourceA}},
		{ID: "rs-b", ResourceServerFor: []string{resourceB}},
		{ID: "rs-o", ResourceServerFor: []string{resourceO}},
		{ID: "rs-m", ResourceServerFor: []string{resourceN}},
	}
}

// token returns a token that the server has issued by its own rules.
func (s *server) token(t *testing.T, client, resource, scope string) string {
	t.Helper()
	form := formOf(url.Values{"grant_type": {oauth.ClientCredentials}, "resource": {resource}, "scope": {scope}})
	request := &authority.Request{Form: form, Remote: "192.0.2.1:1"}
	present(request, client)
	answer, err := s.authority.Token(t.Context(), request)
	must(t, err)
	return answer.AccessToken
}

// formOf makes a form of parameters that are named.
func formOf(values url.Values) (form authority.Form) {
	for name, all := range values {
		for _, value := range all {
			form = append(form, authority.Parameter{Name: name, Value: value})
		}
	}
	return form
}

// present puts a client's credentials into a request, in the way that the client is registered for.
func present(request *authority.Request, client string) {
	if client == "c-post" {
		request.Form = append(request.Form, authority.Parameter{Name: "client_id", Value: client}, authority.Parameter{Name: "client_secret", Value: secretOf(client)})
		return
	}
	request.Authorization = []string{basic(client, secretOf(client))}
}

func (s *server) poll(t *testing.T) {
	t.Helper()
	must(t, s.authority.Poll(context.WithoutCancel(t.Context())))
}

// update changes a client in the store, as an operator on some node does.
func update(t *testing.T, s store.Store, id string, edit func(*store.Client)) {
	t.Helper()
	c, err := s.Clients().Get(t.Context(), id)
	must(t, err)
	edit(&c)
	must(t, s.Clients().Put(t.Context(), c))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
