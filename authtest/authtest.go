// Package authtest runs a real authorization server inside a test: the one that the writ command runs, in memory, on
// loopback, with nothing to install and nothing left behind. It is as strict as the real one, so that what passes here
// passes there.
//
// A test of an API makes a Server, registers its resource, gives the Server's issuer to resource.NewVerifier, and sends
// it tokens: good ones from Token, and from Expired, WrongAudience, ForeignKey, Revoked, IssuedAt and Opaque those that
// an API meets on a bad day. DPoPToken and CertificateToken are bound to what a Holder holds, and no good to another one.
// RotateKey, JWKSDown and Suspend are the days themselves. It does not replace the tests of the server; those are beside
// its code.
package authtest

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/endpoint"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/oauth"
)

// A Server is an authorization server in memory. Its methods are safe for concurrent use; those that cannot do what was
// asked fail the test. It stops when the test ends.
type Server struct {
	t         testing.TB
	http      *httptest.Server
	store     store.Store
	ring      *keyring.Ring
	authority *authority.Authority
	down      atomic.Bool

	mu      sync.Mutex
	clients map[string]Client // the client that Token uses for a resource, by URI; under mu
}

// A Client is what a registered client needs to authenticate, with client_secret_basic unless PostClient made it, or
// KeyClient or KeyResourceServer, which give it no Secret.
type Client struct {
	ID     string
	Secret string
}

// New starts a server.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, store: memstore.New(), clients: map[string]Client{}}
	var handler http.Handler
	s.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.down.Load() && r.Method == http.MethodGet {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(s.http.Close)
	s.ring = s.newRing(s.store)
	s.authority = s.newAuthority(s.ring, 0)
	handler = endpoint.New(s.authority, endpoint.Options{})
	return s
}

// rootKey seals keys that live as long as a test.
var rootKey = []byte("authtest keeps its keys in memory")[:keyring.RootBytes]

func (s *Server) newRing(keys store.Store) *keyring.Ring {
	ring, err := keyring.Open(context.Background(), keys, keyring.Options{Root: rootKey})
	s.must(err)
	return ring
}

// newAuthority returns an authority over the same registry whose clock is off by skew.
func (s *Server) newAuthority(ring *keyring.Ring, skew time.Duration) *authority.Authority {
	journal := audit.InMemory()
	s.t.Cleanup(func() { _ = journal.Close() }) // nothing is on disk that closing could lose
	a, err := authority.New(context.Background(), authority.Options{
		Issuer: s.Issuer(), Store: s.store, Ring: ring, Journal: journal,
		Now:      func() time.Time { return time.Now().Add(skew) },
		Throttle: authority.Throttle{Off: true},
	})
	s.must(err)
	return a
}

// Issuer returns the issuer identifier, which is also the server's URL.
func (s *Server) Issuer() string { return s.http.URL }

// Resource registers a protected API whose tokens are JWTs signed with ES256, and the scopes it knows.
func (s *Server) Resource(uri string, scopes ...string) {
	s.t.Helper()
	s.register(store.Resource{URI: uri, Format: store.FormatJWT, Algorithm: jose.ES256}, scopes)
}

// SignedResource is Resource with another algorithm: ES256, Ed25519, EdDSA, PS256 or RS256.
func (s *Server) SignedResource(uri, algorithm string, scopes ...string) {
	s.t.Helper()
	s.must(s.ring.Ensure(context.Background(), algorithm))
	s.register(store.Resource{URI: uri, Format: store.FormatJWT, Algorithm: algorithm}, scopes)
}

// OpaqueResource is Resource with tokens that only introspection can read.
func (s *Server) OpaqueResource(uri string, scopes ...string) {
	s.t.Helper()
	s.register(store.Resource{URI: uri, Format: store.FormatOpaque, Algorithm: jose.ES256}, scopes)
}

func (s *Server) register(resource store.Resource, scopes []string) {
	s.t.Helper()
	for _, scope := range scopes {
		resource.Scopes = append(resource.Scopes, store.Scope{Name: scope})
	}
	s.must(s.store.Resources().Insert(context.Background(), resource))
	s.poll()
}

// Client registers a client that may ask for scopes of a resource, and gets all of them when it asks for none.
func (s *Server) Client(resource string, scopes ...string) Client {
	s.t.Helper()
	grant := store.Grant{Resource: resource, Scopes: scopes, Defaults: scopes}
	return s.newClient(store.Client{Grants: []store.Grant{grant}})
}

// PostClient is Client for one that authenticates with client_secret_post.
func (s *Server) PostClient(resource string, scopes ...string) Client {
	s.t.Helper()
	grant := store.Grant{Resource: resource, Scopes: scopes, Defaults: scopes}
	return s.newClient(store.Client{AuthMethod: oauth.ClientSecretPost, Grants: []store.Grant{grant}})
}

// ResourceServer registers a client as which the API of a resource introspects tokens.
func (s *Server) ResourceServer(resource string) Client {
	s.t.Helper()
	return s.newClient(store.Client{ResourceServerFor: []string{resource}})
}

// KeyClient is Client for one that authenticates with private_key_jwt. It has no secret; the test has its private key.
func (s *Server) KeyClient(public crypto.PublicKey, resource string, scopes ...string) Client {
	s.t.Helper()
	grant := store.Grant{Resource: resource, Scopes: scopes, Defaults: scopes}
	return s.newKeyClient(public, store.Client{Grants: []store.Grant{grant}})
}

// KeyResourceServer is ResourceServer for one that authenticates with private_key_jwt.
func (s *Server) KeyResourceServer(public crypto.PublicKey, resource string) Client {
	s.t.Helper()
	return s.newKeyClient(public, store.Client{ResourceServerFor: []string{resource}})
}

func (s *Server) newKeyClient(public crypto.PublicKey, record store.Client) Client {
	s.t.Helper()
	id, err := jose.Thumbprint(public)
	s.must(err)
	encoded, err := x509.MarshalPKIXPublicKey(public)
	s.must(err)
	record.AuthMethod = oauth.PrivateKeyJWT
	record.Keys = []store.ClientKey{{ID: id, Algorithm: jose.DefaultAlgorithm(public), Public: encoded}}
	return s.newClient(record)
}

// RoleClient is Client with a role of that name holding the scopes, so that its tokens carry the role.
func (s *Server) RoleClient(role, resource string, scopes ...string) Client {
	s.t.Helper()
	grant := store.Grant{Resource: resource, Scopes: scopes, Defaults: scopes}
	s.must(s.store.Roles().Insert(context.Background(), store.Role{Name: role, Grants: []store.Grant{grant}}))
	return s.newClient(store.Client{Roles: []string{role}})
}

func (s *Server) newClient(record store.Client) Client {
	s.t.Helper()
	id, secret := "test-"+strings.ToLower(rand.Text()), ""
	record.ID, record.Name = id, id
	record.AuthMethod = cmp.Or(record.AuthMethod, oauth.ClientSecretBasic)
	record.GrantTypes = []string{oauth.ClientCredentials}
	if record.AuthMethod != oauth.PrivateKeyJWT {
		secret = rand.Text()
		record.Secrets = []store.Secret{{ID: "1", Hash: store.HashSecret(secret)}}
	}
	s.must(s.store.Clients().Insert(context.Background(), record))
	s.poll()
	return Client{ID: id, Secret: secret}
}

// Token returns an access token for a resource: with the scopes given, or with none of them all that the resource knows.
func (s *Server) Token(resource string, scopes ...string) string {
	s.t.Helper()
	return s.issue(s.authority, resource, scopes)
}

// TokenOf returns an access token as a client gets it from the token endpoint, with its default scopes.
func (s *Server) TokenOf(client Client) string {
	s.t.Helper()
	return s.ask(s.authority, client, authority.Form{{Name: "grant_type", Value: oauth.ClientCredentials}})
}

// IssuedAt is Token, issued by a server whose clock is off by skew.
func (s *Server) IssuedAt(skew time.Duration, resource string, scopes ...string) string {
	s.t.Helper()
	return s.issue(s.newAuthority(s.ring, skew), resource, scopes)
}

// Expired is Token, an hour ago.
func (s *Server) Expired(resource string, scopes ...string) string {
	s.t.Helper()
	return s.IssuedAt(-time.Hour, resource, scopes...)
}

// WrongAudience returns a good token with the scopes, for a resource that is not the one named.
func (s *Server) WrongAudience(resource string, scopes ...string) string {
	s.t.Helper()
	other := strings.TrimSuffix(resource, "/") + "/other"
	if _, err := s.store.Resources().Get(context.Background(), other); err != nil {
		s.Resource(other, s.scopesOf(resource)...)
	}
	return s.issue(s.authority, other, scopes)
}

// ForeignKey is Token, signed with a key that the issuer does not have.
func (s *Server) ForeignKey(resource string, scopes ...string) string {
	s.t.Helper()
	ring := s.newRing(memstore.New())
	for _, key := range s.ring.Keys() {
		s.must(ring.Ensure(context.Background(), key.Algorithm))
	}
	return s.issue(s.newAuthority(ring, 0), resource, scopes)
}

// Revoked is Token, revoked since. Only introspection can tell.
func (s *Server) Revoked(resource string, scopes ...string) string {
	s.t.Helper()
	token := s.Token(resource, scopes...)
	s.Revoke(resource, token)
	return token
}

// Revoke revokes a token that Token returned for a resource.
func (s *Server) Revoke(resource, token string) {
	s.t.Helper()
	client := s.clientOf(resource)
	s.must(s.authority.Revoke(context.Background(), &authority.Request{
		Form: authority.Form{{Name: "token", Value: token}}, Authorization: []string{basicHeader(client)},
	}))
}

// Suspend suspends a client: no new tokens, and the ones it has are inactive at introspection.
func (s *Server) Suspend(client Client) {
	s.t.Helper()
	ctx := context.Background()
	s.must(s.store.Update(ctx, func(tx store.Store) error {
		record, err := tx.Clients().Get(ctx, client.ID)
		if err != nil {
			return err
		}
		record.Suspended, record.NotBefore = true, time.Now().UTC()
		return tx.Clients().Put(ctx, record)
	}))
	s.poll()
}

// RotateKey makes new keys sign at once. Tokens signed before stay good.
func (s *Server) RotateKey() {
	s.t.Helper()
	for _, algorithm := range s.algorithms() {
		_, err := s.ring.Rotate(context.Background(), algorithm, true)
		s.must(err)
	}
}

// RevokeKeys withdraws all keys: tokens signed before are dead wherever the key set is fetched again.
func (s *Server) RevokeKeys() {
	s.t.Helper()
	for _, key := range s.ring.List() {
		s.must(s.ring.Revoke(context.Background(), key.ID))
	}
}

func (s *Server) algorithms() []string {
	algorithms := []string{keyring.Sealing}
	for _, key := range s.ring.Keys() {
		algorithms = append(algorithms, key.Algorithm)
	}
	return algorithms
}

// JWKSDown makes key set and metadata answer 503, or work again.
func (s *Server) JWKSDown(down bool) { s.down.Store(down) }

func (s *Server) issue(a *authority.Authority, resource string, scopes []string) string {
	s.t.Helper()
	return s.ask(a, s.clientOf(resource), s.formFor(resource, scopes))
}

// formFor asks for scopes of a resource, or for all of them.
func (s *Server) formFor(resource string, scopes []string) authority.Form {
	s.t.Helper()
	if len(scopes) == 0 {
		scopes = s.scopesOf(resource)
	}
	return authority.Form{
		{Name: "grant_type", Value: oauth.ClientCredentials}, {Name: "resource", Value: resource}, {Name: "scope", Value: strings.Join(scopes, " ")},
	}
}

func (s *Server) ask(a *authority.Authority, client Client, form authority.Form) string {
	s.t.Helper()
	response, err := a.Token(context.Background(), &authority.Request{
		Form: form, Authorization: []string{basicHeader(client)},
	})
	s.must(err)
	return response.AccessToken
}

func basicHeader(client Client) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(client.ID+":"+client.Secret))
}

// clientOf returns the client that may have everything of a resource, and makes it the first time.
func (s *Server) clientOf(resource string) Client {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	client, found := s.clients[resource]
	if !found {
		client = s.Client(resource, s.scopesOf(resource)...)
		s.clients[resource] = client
	}
	return client
}

func (s *Server) scopesOf(resource string) []string {
	s.t.Helper()
	record, err := s.store.Resources().Get(context.Background(), resource)
	if err != nil {
		s.t.Fatalf("authtest: resource %s is not registered: call Resource first", resource)
	}
	var scopes []string
	for _, scope := range record.Scopes {
		scopes = append(scopes, scope.Name)
	}
	return scopes
}

func (s *Server) poll() {
	s.t.Helper()
	s.must(s.authority.Poll(context.Background()))
}

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(fmt.Errorf("authtest: %w", err))
	}
}
