package endpoint_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
)

// A publisher is authority.RemoteKeys without the network: what clients publish, what was read of it, and when.
type publisher struct {
	now   func() time.Time
	asked atomic.Int32 // how often the authority wanted something of it

	mu      sync.Mutex
	sets    map[string][]jose.Key // as published
	cached  map[string][]jose.Key // as last read
	renewed map[string]time.Time
	down    bool
	fetches int
}

var errUnreachable = errors.New("the client's host is down")

func (p *publisher) Keys(_ context.Context, uri string) ([]jose.Key, error) {
	p.asked.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, found := p.cached[uri]; found {
		return known, nil
	}
	err := p.fetch(uri)
	return p.cached[uri], err
}

func (p *publisher) Renew(_ context.Context, uri string) bool {
	p.asked.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now().Sub(p.renewed[uri]) < time.Minute {
		return false
	}
	p.renewed[uri] = p.now()
	return p.fetch(uri) == nil
}

func (p *publisher) fetch(uri string) error {
	p.fetches++
	if p.down {
		return errUnreachable
	}
	p.cached[uri] = p.sets[uri]
	return nil
}

func (p *publisher) publish(uri string, keys ...jose.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sets[uri] = keys
}

const published = "https://client.example/jwks.json"

// newPublishingServer is newKeyServer with c-uri, which publishes its keys, and c-uri2 elsewhere.
func newPublishingServer(t *testing.T) (*server, *publisher) {
	t.Helper()
	p := &publisher{sets: map[string][]jose.Key{}, cached: map[string][]jose.Key{}, renewed: map[string]time.Time{}}
	s := newKeyServer(t, func(o *authority.Options) { p.now, o.RemoteKeys = o.Now, p })
	c, err := s.store.Clients().Get(t.Context(), "c-jwt")
	must(t, err)
	for id, uri := range map[string]string{"c-uri": published, "c-uri2": published + "2"} {
		c.ID, c.Name, c.Keys, c.JWKSURI = id, id, nil, uri
		must(t, s.store.Clients().Insert(t.Context(), c))
	}
	s.poll(t)
	return s, p
}

func TestPublishedKeys(t *testing.T) {
	es256 := func(id string, key crypto.Signer) jose.Key {
		return jose.Key{ID: id, Algorithm: jose.ES256, Public: key.Public()}
	}
	s, p := newPublishingServer(t)
	p.publish(published, es256("k1", keyOne()))
	send := func(t *testing.T, key crypto.Signer, algorithm, id string, status int, why string) {
		t.Helper()
		a := s.good("c-uri", key, algorithm, id)
		if id == "" {
			delete(a.header, "kid")
		}
		s.exchange(t, "/token", authenticated(ask(), a.compact(t)), status, why)
	}
	t.Run("J01 a published key", func(t *testing.T) { send(t, keyOne(), jose.ES256, "k1", http.StatusOK, "") })
	t.Run("J31 kid unknown: the keys are read again once", func(t *testing.T) {
		before := p.fetches
		for range 3 {
			send(t, keyTwo(), jose.ES256, "k9", http.StatusUnauthorized, "unknown_key")
		}
		if got := p.fetches - before; got != 1 {
			t.Errorf("the keys were read %d times, want 1", got)
		}
		s.clock.move(time.Minute)
		send(t, keyTwo(), jose.ES256, "k1", http.StatusUnauthorized, "wrong_signature")
		if got := p.fetches - before; got != 1 {
			t.Errorf("the keys were read again for a wrong signature")
		}
	})
	t.Run("J43 a new kid is read at once, but not twice a minute", func(t *testing.T) {
		send(t, keyThree(), jose.ES256, "k9", http.StatusUnauthorized, "unknown_key")
		p.publish(published, es256("k1", keyOne()), es256("k2", keyTwo()))
		send(t, keyTwo(), jose.ES256, "k2", http.StatusUnauthorized, "unknown_key") // they were read just now
		s.clock.move(time.Minute)
		send(t, keyTwo(), jose.ES256, "k2", http.StatusOK, "")
		send(t, keyOne(), jose.ES256, "k1", http.StatusOK, "")
	})
	t.Run("J43 without a kid: a key that signs with none of the known ones", func(t *testing.T) {
		p.publish(published, es256("", keyThree()))
		s.clock.move(time.Minute)
		send(t, keyThree(), jose.ES256, "", http.StatusOK, "")
		send(t, keyOne(), jose.ES256, "", http.StatusUnauthorized, "wrong_signature")
	})
	t.Run("CA-05 a published key without alg has one all the same", func(t *testing.T) {
		p.publish(published, jose.Key{ID: "kr", Public: keyRSA().Public()})
		s.clock.move(time.Minute)
		send(t, keyRSA(), jose.PS256, "kr", http.StatusOK, "")
		send(t, keyRSA(), jose.RS256, "kr", http.StatusUnauthorized, "wrong_signature")
		update(t, s.store, "c-uri", func(c *store.Client) { c.SigningAlgorithm = jose.RS256 })
		s.poll(t)
		send(t, keyRSA(), jose.RS256, "kr", http.StatusOK, "")
		send(t, keyRSA(), jose.PS256, "kr", http.StatusUnauthorized, "wrong_signature")
	})
	t.Run("J44 down: what was read goes on, what was not is refused", func(t *testing.T) {
		p.mu.Lock()
		p.down = true
		p.mu.Unlock()
		s.clock.move(time.Minute)
		send(t, keyRSA(), jose.RS256, "kr", http.StatusOK, "")
		a := s.good("c-uri2", keyOne(), jose.ES256, "k1")
		s.exchange(t, "/token", authenticated(ask(), a.compact(t)), http.StatusUnauthorized, "keys_unavailable")
	})
	t.Run("J44 nothing here reads published keys", func(t *testing.T) {
		other := serve(t, s.store, s.clock)
		a := other.good("c-uri", keyRSA(), jose.RS256, "kr")
		other.exchange(t, "/token", authenticated(ask(), a.compact(t)), http.StatusUnauthorized, "keys_unavailable")
	})
}

// point returns the coordinates of an EC public key as a JWK has them.
func point(t *testing.T, key crypto.Signer) (x, y string) {
	t.Helper()
	raw, err := key.Public().(*ecdsa.PublicKey).Bytes()
	must(t, err)
	half := (len(raw) - 1) / 2
	return base64.RawURLEncoding.EncodeToString(raw[1 : 1+half]), base64.RawURLEncoding.EncodeToString(raw[1+half:])
}

// weakRSA makes a key that is too short. It takes GODEBUG=rsa1024min=0.
func weakRSA(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	return key
}
