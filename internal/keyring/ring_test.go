package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A node is a ring over a store that it may share, with a clock that it shares.
type node struct {
	*keyring.Ring
	now *time.Time
}

var root = bytes.Repeat([]byte{7}, keyring.RootBytes)

func open(t *testing.T, s store.Store, now *time.Time) node {
	t.Helper()
	ring, err := keyring.Open(t.Context(), s, keyring.Options{Root: root, Now: func() time.Time { return *now }})
	must(t, err)
	return node{ring, now}
}

func newNode(t *testing.T, algorithms ...string) (node, store.Store) {
	t.Helper()
	s, now := memstore.New(), start
	n := open(t, s, &now)
	for _, algorithm := range algorithms {
		must(t, n.Ensure(t.Context(), algorithm))
	}
	return n, s
}

func (n node) after(t *testing.T, d time.Duration) {
	t.Helper()
	*n.now = n.now.Add(d)
	must(t, n.Tick(t.Context()))
}

func (n node) signer(t *testing.T) *jose.Signer {
	t.Helper()
	signer, err := n.Signer(jose.ES256)
	must(t, err)
	return signer
}

// published reports whether a key is; the ring must say the same wherever it is asked.
func (n node) published(id string) bool {
	_, found := n.Find(id)
	body, _ := n.JWKS()
	inSet := bytes.Contains(body, []byte(id))
	inKeys := slices.ContainsFunc(n.Keys(), func(k jose.Key) bool { return k.ID == id })
	if found != inSet || found != inKeys {
		panic("the ring contradicts itself about " + id)
	}
	return found
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRestartKeepsKeys(t *testing.T) {
	one, s := newNode(t, jose.ES256, keyring.Sealing)
	sealed, err := one.Seal([]byte("said before"))
	must(t, err)
	two := open(t, s, one.now)
	must(t, two.Ensure(t.Context(), jose.ES256))
	must(t, two.Ensure(t.Context(), keyring.Sealing))
	if got, want := two.signer(t).KeyID, one.signer(t).KeyID; got != want || len(two.List()) != 2 {
		t.Errorf("after a restart %s signs and there are %d keys, want %s and 2", got, len(two.List()), want)
	}
	if plain, err := two.Open(sealed); err != nil || string(plain) != "said before" {
		t.Errorf("got %q, %v", plain, err)
	}
	for _, k := range two.List() {
		if k.Sealed != nil {
			t.Errorf("List hands out the private half of %s", k.ID)
		}
	}
}

// TestST17RootKey: keys that cannot be read are never joined by new ones, or every token in use would die with them.
func TestST17RootKey(t *testing.T) {
	_, s := newNode(t, jose.ES256, keyring.Sealing)
	wrong := bytes.Repeat([]byte{8}, keyring.RootBytes)
	for _, test := range []struct {
		name string
		root []byte
		want error
	}{
		{"ST-17 another root key", wrong, keyring.ErrRootKey},
		{"ST-17 no root key", nil, nil},
		{"ST-17 half a root key", root[:16], nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			ring, err := keyring.Open(t.Context(), s, keyring.Options{Root: test.root})
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v and %v, want no ring and %v", ring, err, test.want)
			}
			if strings.Contains(err.Error(), string(root)) {
				t.Error("the error tells the root key")
			}
			keys, err := s.Keys().List(t.Context(), "", 10)
			if err != nil || len(keys) != 2 {
				t.Errorf("there are %d keys now, %v", len(keys), err)
			}
		})
	}
}

// TestKeysInTheDatabaseCannotBeMoved: whoever can write the database still cannot give a key another's name, another use or
// another's private half, and a damaged one is seen.
func TestKeysInTheDatabaseCannotBeMoved(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(one, two *store.SigningKey)
	}{
		{"private halves swapped", func(one, two *store.SigningKey) { one.Sealed, two.Sealed = two.Sealed, one.Sealed }},
		{"another algorithm", func(one, _ *store.SigningKey) { one.Algorithm = jose.ES384 }},
		{"a signing key as a sealing key", func(one, _ *store.SigningKey) { one.Algorithm = keyring.Sealing }},
		{"the last byte flipped", func(one, _ *store.SigningKey) { one.Sealed[len(one.Sealed)-1] ^= 1 }},
		{"the first byte flipped", func(one, _ *store.SigningKey) { one.Sealed[0] ^= 1 }},
		{"cut", func(one, _ *store.SigningKey) { one.Sealed = one.Sealed[:8] }},
		{"empty", func(one, _ *store.SigningKey) { one.Sealed = nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			n, s := newNode(t, jose.ES256, jose.Ed25519)
			keys, err := s.Keys().List(t.Context(), "", 10)
			must(t, err)
			signs := n.signer(t).KeyID
			test.change(&keys[0], &keys[1])
			for _, k := range keys {
				must(t, s.Keys().Put(t.Context(), k))
			}
			if _, err := keyring.Open(t.Context(), s, keyring.Options{Root: root}); !errors.Is(err, keyring.ErrRootKey) {
				t.Errorf("Open: got %v, want ErrRootKey", err)
			}
			if n.signer(t).KeyID != signs {
				t.Error("a ring that was open does not go on with what it knows")
			}
		})
	}
	t.Run("a private half under another ID", func(t *testing.T) {
		_, s := newNode(t, jose.ES256)
		keys, err := s.Keys().List(t.Context(), "", 10)
		must(t, err)
		keys[0].ID = "abcdefghijklmnop"
		must(t, s.Keys().Insert(t.Context(), keys[0]))
		if _, err := keyring.Open(t.Context(), s, keyring.Options{Root: root}); !errors.Is(err, keyring.ErrRootKey) {
			t.Errorf("Open: got %v, want ErrRootKey", err)
		}
	})
}

func TestRotate(t *testing.T) {
	policy := keyring.DefaultPolicy
	t.Run("announced", func(t *testing.T) {
		n, _ := newNode(t, jose.ES256)
		old := n.signer(t).KeyID
		made, err := n.Rotate(t.Context(), jose.ES256, false)
		must(t, err)
		if !n.published(made.ID) || n.signer(t).KeyID != old || n.SignsNow(made) {
			t.Fatalf("%s is published: %v, and %s signs; want it announced only", made.ID, n.published(made.ID), n.signer(t).KeyID)
		}
		n.after(t, policy.Announce-time.Second)
		if n.signer(t).KeyID != old {
			t.Error("the new key signs too early")
		}
		n.after(t, time.Second)
		if n.signer(t).KeyID != made.ID || !n.published(old) || !n.SignsNow(made) {
			t.Error("the new key does not sign in time, or the old one is gone")
		}
		n.after(t, policy.MaxTokenTTL)
		if !n.published(old) {
			t.Error("the old key is gone before its last token")
		}
		n.after(t, 2*time.Minute)
		if n.published(old) || len(n.List()) != 1 {
			t.Error("the old key is still there")
		}
	})
	t.Run("now", func(t *testing.T) {
		n, _ := newNode(t, jose.ES256)
		old := n.signer(t).KeyID
		_, before := n.JWKS()
		*n.now = n.now.Add(time.Second)
		made, err := n.Rotate(t.Context(), jose.ES256, true)
		must(t, err)
		_, after := n.JWKS()
		if n.signer(t).KeyID != made.ID || !n.published(old) || before == after {
			t.Errorf("%s signs, want %s; the old one published: %v", n.signer(t).KeyID, made.ID, n.published(old))
		}
	})
	t.Run("what there is not", func(t *testing.T) {
		n, _ := newNode(t, jose.ES256)
		if _, err := n.Rotate(t.Context(), jose.RS256, true); !errors.Is(err, keyring.ErrNoKey) {
			t.Errorf("got %v, want ErrNoKey", err)
		}
		if err := n.Ensure(t.Context(), "HS256"); err == nil {
			t.Error("a symmetric signing key was made")
		}
	})
	t.Run("a key that another node made a moment ago", func(t *testing.T) {
		one, s := newNode(t)
		two := open(t, s, one.now)
		must(t, one.Ensure(t.Context(), jose.ES256))
		if _, err := two.Rotate(t.Context(), jose.ES256, false); err != nil {
			t.Errorf("Rotate: %v", err)
		}
		must(t, one.Revoke(t.Context(), two.List()[0].ID))
	})
}

// TestRotatingCannotBreakTheKeySet: validators refuse a key set of more than 32 keys, and with it every token. Neither
// somebody who may rotate keys nor a job that does so too often gets there.
func TestRotatingCannotBreakTheKeySet(t *testing.T) {
	usable := func(t *testing.T, n node) {
		t.Helper()
		body, _ := n.JWKS()
		keys, err := jose.ParseJWKS(body)
		if err != nil || !slices.ContainsFunc(keys, func(k jose.Key) bool { return k.ID == n.signer(t).KeyID }) {
			t.Fatalf("the key set is of no use: %v", err)
		}
	}
	t.Run("at once", func(t *testing.T) {
		for _, immediately := range []bool{true, false} {
			n, _ := newNode(t, jose.ES256)
			for i := range 2 * jose.MaxJWKSKeys {
				*n.now = n.now.Add(time.Second)
				_, err := n.Rotate(t.Context(), jose.ES256, immediately)
				if want := i >= keyring.MaxPublished-1; errors.Is(err, keyring.ErrTooManyKeys) != want {
					t.Fatalf("rotation %d: got %v, want an error: %v", i, err, want)
				}
				usable(t, n)
			}
		}
	})
	t.Run("every hour for a month", func(t *testing.T) {
		n, _ := newNode(t, jose.ES256)
		for i := range 30 * 24 {
			if _, err := n.Rotate(t.Context(), jose.ES256, false); err != nil && i < 24 {
				t.Fatalf("rotation %d: %v", i, err)
			}
			n.after(t, time.Hour)
			usable(t, n)
		}
		n.after(t, 2*keyring.DefaultPolicy.Announce)
		n.after(t, keyring.DefaultPolicy.MaxTokenTTL)
		n.after(t, time.Hour)
		if len(n.Keys()) != 1 {
			t.Errorf("%d keys are left when the rotating has ended, want 1", len(n.Keys()))
		}
	})
}

// TestRevokeAcrossClocks: a node whose clock is behind must not sign with a key that was retired, perhaps for a reason,
// when the one that signs is revoked elsewhere; and it must go on signing.
func TestRevokeAcrossClocks(t *testing.T) {
	ahead, s := newNode(t, jose.ES256)
	retired := ahead.signer(t).KeyID
	*ahead.now = ahead.now.Add(time.Hour)
	bad, err := ahead.Rotate(t.Context(), jose.ES256, true)
	must(t, err)
	*ahead.now = ahead.now.Add(time.Hour)
	behindNow := ahead.now.Add(-30 * time.Second)
	behind := open(t, s, &behindNow)
	must(t, ahead.Revoke(t.Context(), bad.ID))
	must(t, behind.Tick(t.Context()))
	if got := behind.signer(t).KeyID; got == retired || got == bad.ID || got != ahead.signer(t).KeyID {
		t.Errorf("%s signs, want the new key and neither the retired %s nor the revoked %s", got, retired, bad.ID)
	}
}

func TestRevoke(t *testing.T) {
	t.Run("the key that signs", func(t *testing.T) {
		n, _ := newNode(t, jose.ES256)
		id := n.signer(t).KeyID
		must(t, n.Revoke(t.Context(), id))
		if n.published(id) || n.signer(t).KeyID == id || !n.published(n.signer(t).KeyID) {
			t.Errorf("%s is published: %v; %s signs", id, n.published(id), n.signer(t).KeyID)
		}
		must(t, n.Revoke(t.Context(), id)) // again
		if len(n.List()) != 2 {
			t.Errorf("got %d keys, want 2", len(n.List()))
		}
	})
	t.Run("a retired key does not come back", func(t *testing.T) {
		n, _ := newNode(t, jose.ES256)
		first := n.signer(t).KeyID
		*n.now = n.now.Add(time.Second)
		second, err := n.Rotate(t.Context(), jose.ES256, true)
		must(t, err)
		*n.now = n.now.Add(time.Second)
		must(t, n.Revoke(t.Context(), second.ID))
		if got := n.signer(t).KeyID; got == first || got == second.ID || !n.published(first) {
			t.Errorf("%s signs, want a new key beside %s and %s", got, first, second.ID)
		}
	})
	t.Run("an announced key", func(t *testing.T) {
		n, _ := newNode(t, jose.ES256)
		first := n.signer(t).KeyID
		second, err := n.Rotate(t.Context(), jose.ES256, false)
		must(t, err)
		must(t, n.Revoke(t.Context(), second.ID))
		n.after(t, keyring.DefaultPolicy.Announce)
		if got := n.signer(t).KeyID; got != first || !n.published(first) {
			t.Errorf("%s signs, want %s until its next successor", got, first)
		}
		n.after(t, keyring.DefaultPolicy.Announce)
		if got := n.signer(t).KeyID; got == first || got == second.ID {
			t.Errorf("%s signs, want a third key", got)
		}
	})
	t.Run("a sealing key", func(t *testing.T) {
		n, _ := newNode(t, keyring.Sealing)
		sealed, err := n.Seal([]byte("x"))
		must(t, err)
		must(t, n.Revoke(t.Context(), n.List()[0].ID))
		if _, err := n.Open(sealed); !errors.Is(err, keyring.ErrNoKey) {
			t.Errorf("got %v, want ErrNoKey", err)
		}
		sealed, err = n.Seal([]byte("y"))
		must(t, err)
		if plain, err := n.Open(sealed); err != nil || string(plain) != "y" {
			t.Errorf("got %q, %v", plain, err)
		}
	})
	t.Run("what there is not", func(t *testing.T) {
		n, _ := newNode(t, jose.ES256)
		if err := n.Revoke(t.Context(), "nothing"); !errors.Is(err, keyring.ErrNoKey) {
			t.Errorf("got %v, want ErrNoKey", err)
		}
	})
}

// TestST16OneNewKey: nodes that find at the same moment that a key is due make one, with one ID.
func TestST16OneNewKey(t *testing.T) {
	for _, test := range []struct {
		name  string
		ahead time.Duration
		want  int
		do    func(ctx context.Context, n node) error
	}{
		{"ST-16 the first key", 0, 1, func(ctx context.Context, n node) error { return n.Ensure(ctx, jose.ES256) }},
		{"ST-16 a successor", 29 * 24 * time.Hour, 2, func(ctx context.Context, n node) error { return n.Tick(ctx) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, now := memstore.New(), start
			if test.want == 2 {
				must(t, open(t, s, &now).Ensure(t.Context(), jose.ES256))
			}
			now = now.Add(test.ahead)
			var nodes []node
			for range 8 {
				nodes = append(nodes, open(t, s, &now))
			}
			var group sync.WaitGroup
			for _, n := range nodes {
				group.Go(func() {
					if err := test.do(t.Context(), n); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			keys, err := s.Keys().List(t.Context(), "", 100)
			if err != nil || len(keys) != test.want {
				t.Fatalf("got %d keys, %v, want %d", len(keys), err, test.want)
			}
			for _, n := range nodes {
				must(t, n.Tick(t.Context()))
				if got := n.signer(t).KeyID; got != nodes[0].signer(t).KeyID || len(n.Keys()) != test.want {
					t.Errorf("%s signs on one node, %s on another", got, nodes[0].signer(t).KeyID)
				}
			}
		})
	}
}

// TestAwayForLong: a server that was down past the end of its keys does not sign with one whose tokens nobody accepts.
func TestAwayForLong(t *testing.T) {
	n, s := newNode(t, jose.ES256, keyring.Sealing)
	*n.now = n.now.Add(400 * 24 * time.Hour)
	n = open(t, s, n.now)
	must(t, n.Ensure(t.Context(), jose.ES256))
	if id := n.signer(t).KeyID; !n.published(id) {
		t.Errorf("%s signs and is not published", id)
	}
	must(t, n.Ensure(t.Context(), keyring.Sealing))
	sealed, err := n.Seal([]byte("x"))
	must(t, err)
	if _, err := n.Open(sealed); err != nil {
		t.Error(err)
	}
}

func TestSealOpen(t *testing.T) {
	n, _ := newNode(t, keyring.Sealing)
	const said = "what only this ring may read"
	sealed, err := n.Seal([]byte(said))
	must(t, err)
	again, err := n.Seal([]byte(said))
	must(t, err)
	if bytes.Equal(sealed, again) || bytes.Contains(sealed, []byte("ring")) {
		t.Error("sealing twice gives the same, or does not seal")
	}
	t.Run("every bit counts", func(t *testing.T) {
		for i := range sealed {
			for bit := range 8 {
				spoiled := bytes.Clone(sealed)
				spoiled[i] ^= 1 << bit
				if plain, err := n.Open(spoiled); !errors.Is(err, keyring.ErrNoKey) || plain != nil {
					t.Fatalf("byte %d bit %d: got %q, %v", i, bit, plain, err)
				}
			}
		}
	})
	t.Run("every length but the right one", func(t *testing.T) {
		for length := range sealed {
			if _, err := n.Open(sealed[:length]); !errors.Is(err, keyring.ErrNoKey) {
				t.Fatalf("%d bytes of it: %v", length, err)
			}
		}
		if _, err := n.Open(append(bytes.Clone(sealed), 0)); !errors.Is(err, keyring.ErrNoKey) {
			t.Errorf("a byte more: %v", err)
		}
	})
	t.Run("another issuer's ring", func(t *testing.T) {
		other, _ := newNode(t, keyring.Sealing)
		if _, err := other.Open(sealed); !errors.Is(err, keyring.ErrNoKey) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nothing signs with a sealing key, and none is published", func(t *testing.T) {
		if _, err := n.Signer(keyring.Sealing); !errors.Is(err, keyring.ErrNoKey) {
			t.Errorf("Signer: got %v", err)
		}
		body, _ := n.JWKS()
		if len(n.Keys()) != 0 || string(body) != `{"keys":[]}` {
			t.Errorf("got %v and %s", n.Keys(), body)
		}
		if _, found := n.Find(n.List()[0].ID); found {
			t.Error("Find hands it out")
		}
	})
	if plain, err := n.Open(sealed); err != nil || string(plain) != said {
		t.Errorf("got %q, %v", plain, err)
	}
}

// TestOneFirstKeyWhateverTheClock: a node whose clock is behind, or that waited for its turn, takes the first key of the
// other one and makes none of its own. Under different root keys two would lock both nodes out.
func TestOneFirstKeyWhateverTheClock(t *testing.T) {
	t.Parallel()
	s, ahead, behind := memstore.New(), start.Add(time.Second), start
	first, second := open(t, s, &ahead), open(t, s, &behind) // both before there is a key
	must(t, first.Ensure(t.Context(), jose.ES256))
	must(t, second.Ensure(t.Context(), jose.ES256))
	if keys := second.List(); len(keys) != 1 {
		t.Errorf("there are %d keys, want 1", len(keys))
	}
	if got, want := second.signer(t).KeyID, first.signer(t).KeyID; got != want {
		t.Errorf("the node behind signs with %s, the other one with %s", got, want)
	}
}
