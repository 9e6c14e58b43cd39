package authority

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/writ-auth/writ/internal/slowhash"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// cheapHash is the bcrypt hash of a secret at the least cost.
func cheapHash(t *testing.T, secret string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	must(t, err)
	return "bcrypt:" + string(hash)
}

// withHash makes a client whose secret has a hash.
func withHash(id, hash string) store.Client {
	c := store.Client{ID: id, Name: id, AuthMethod: oauth.ClientSecretBasic, GrantTypes: []string{oauth.ClientCredentials}}
	c.Grants = []store.Grant{{Resource: "https://a.test", Scopes: []string{"read"}}}
	c.Secrets = []store.Secret{{ID: "s1", Hash: hash}}
	return c
}

// tracing is traced with more clients.
func tracing(t *testing.T, clients ...store.Client) (*Authority, *trace) {
	t.Helper()
	a, s := traced(t)
	for _, c := range clients {
		must(t, s.Store.Clients().Insert(t.Context(), c))
	}
	must(t, a.Poll(t.Context()))
	return a, s
}

func withBasic(id, secret string) *Request {
	return &Request{
		Remote: "192.0.2.1:1", Form: formOf(url.Values{"grant_type": {oauth.ClientCredentials}, "scope": {"read"}}),
		Authorization: []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))},
	}
}

// TestA28CA26SlowHashes: while slow hashes remain, a refusal takes the same slow work for everybody: the unknown, the client
// whose secret we made, the one with another method, the suspended and the expired, and those with the cheaper hash. A
// success takes it once, and a request without a secret never.
func TestA28CA26SlowHashes(t *testing.T) {
	cheap, dear := cheapHash(t, "right"), "pbkdf2-sha256:i=3000,l=32$AAAAAAAAAAAAAAAA$"+strings.Repeat("A", 43)
	suspended := withHash("slow-suspended", cheapHash(t, "right"))
	suspended.Suspended = true
	expired := withHash("slow-expired", cheapHash(t, "right"))
	expired.Secrets[0].Expires = start.Add(-1)
	post := withHash("slow-post", cheapHash(t, "right"))
	post.AuthMethod = oauth.ClientSecretPost
	clients := []store.Client{
		withHash("bcrypt", cheap), withHash("pbkdf2", dear), withHash("ours", store.HashSecret("right")), suspended, expired, post,
		keyed(t, "slow-jwt", "ES256 a"),
	}
	want := slowhash.Work{Iterations: 3000, Rounds: 16}
	for _, test := range []struct {
		id, secret string
		why        reason
	}{
		{"stranger", "right", reasonUnknownClient},
		{"", "right", reasonUnknownClient},
		{"bcrypt", "wrong", reasonWrongSecret},
		{"pbkdf2", "wrong", reasonWrongSecret},
		{"ours", "wrong", reasonWrongSecret},
		{"slow-suspended", "right", reasonClientSuspended},
		{"slow-suspended", "wrong", reasonWrongSecret},
		{"slow-expired", "right", reasonSecretExpired},
		{"slow-post", "right", reasonWrongMethod},
		{"slow-jwt", "right", reasonWrongMethod},
	} {
		t.Run("A28, CA-26 "+test.id+" "+test.secret, func(t *testing.T) {
			a, s := tracing(t, clients...)
			must(t, a.Census(t.Context()))
			for range 2 {
				before := a.slow.spent
				refused(t, a, s, withBasic(test.id, test.secret), test.why)
				if got := a.slow.spent.Minus(before); got != want {
					t.Errorf("slow work: got %v, want %v", got, want)
				}
			}
		})
	}
	t.Run("A28 once it was good, a wrong one still takes all of it", func(t *testing.T) {
		a, s := tracing(t, clients...)
		must(t, a.Census(t.Context()))
		for i, want := range []slowhash.Work{{Rounds: 16}, {}} {
			before := a.slow.spent
			_, err := a.Token(t.Context(), withBasic("bcrypt", "right"))
			if got := a.slow.spent.Minus(before); err != nil || got != want {
				t.Errorf("token %d: got %v %v, want %v", i, got, err, want)
			}
		}
		before := a.slow.spent
		refused(t, a, s, withBasic("bcrypt", "wrong"), reasonWrongSecret)
		if got := a.slow.spent.Minus(before); got != want {
			t.Errorf("slow work: got %v, want %v", got, want)
		}
	})
	t.Run("A28 no secret, no slow work", func(t *testing.T) {
		a, s := tracing(t, clients...)
		must(t, a.Census(t.Context()))
		refused(t, a, s, withBasic("bcrypt", ""), reasonWrongSecret)
		refused(t, a, s, withBasic("bcrypt", strings.Repeat("x", maxSecretBytes+1)), reasonWrongSecret)
		refused(t, a, s, asserting(t, "slow-jwt", "ES256 x", "ES256 x"), "unknown_key")
		if a.slow.spent != (slowhash.Work{}) {
			t.Errorf("got %v, want none", a.slow.spent)
		}
	})
}

// TestSlowWorkIsLearnt: a node knows of slow hashes when it has read a client that has one, or has counted; and forgets when
// the last one is gone.
func TestSlowWorkIsLearnt(t *testing.T) {
	a, s := tracing(t, withHash("imported", cheapHash(t, "right")), withHash("ours", store.HashSecret("right")))
	spent := func(id string) slowhash.Work {
		before := a.slow.spent
		_, err := a.Token(t.Context(), withBasic(id, "wrong"))
		if !errors.Is(err, oauth.InvalidClient) {
			t.Fatal(err)
		}
		return a.slow.spent.Minus(before)
	}
	if a.slow.need = (slowhash.Work{}); spent("imported") != (slowhash.Work{Rounds: 16}) || spent("stranger") != (slowhash.Work{Rounds: 16}) {
		t.Error("it was read, and refusals are fast")
	}
	client, err := s.Store.Clients().Get(t.Context(), "imported")
	must(t, err)
	client.Secrets[0].Hash = store.HashSecret("right")
	must(t, s.Store.Clients().Put(t.Context(), client))
	must(t, a.Census(t.Context()))
	if got := spent("stranger"); got != (slowhash.Work{}) {
		t.Errorf("with no slow hash left: got %v, want none", got)
	}
}

// TestCensusCountsAtOnce: what was found counts before all have been looked at, which takes minutes with many clients.
func TestCensusCountsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients := []store.Client{withHash("a", cheapHash(t, "right"))}
		for i := range 600 { // more than are looked at without a rest
			clients = append(clients, withHash(fmt.Sprintf("b-%03d", i), "nobody knows whose"))
		}
		a, _ := tracing(t, clients...)
		began := time.Now()
		var counting sync.WaitGroup
		counting.Go(func() { must(t, a.Census(t.Context())) })
		synctest.Wait()
		a.slow.mu.Lock()
		need := a.slow.need
		a.slow.mu.Unlock()
		if need != (slowhash.Work{Rounds: 16}) || !time.Now().Equal(began) {
			t.Errorf("after %v: got %v", time.Since(began), need)
		}
		counting.Wait()
		if time.Now().Equal(began) || a.slow.need != need {
			t.Errorf("after %v: got %v", time.Since(began), a.slow.need)
		}
	})
}

// TestSlowFlood: what needs a slow hash waits for its turn, and is told to come back when too many wait. What needs none is
// served, and nobody is refused for it.
func TestSlowFlood(t *testing.T) {
	a, _ := tracing(t, withHash("imported", cheapHash(t, "right")), withHash("new", cheapHash(t, "right")), withHash("ours", store.HashSecret("right")))
	must(t, a.Census(t.Context()))
	_, err := a.Token(t.Context(), withBasic("imported", "right")) // from now on remembered
	must(t, err)
	for range cap(a.slow.queue) {
		a.slow.queue <- struct{}{}
	}
	for _, id := range []string{"stranger", "imported", "ours"} {
		_, err := a.Token(t.Context(), withBasic(id, "wrong"))
		if busy, ok := errors.AsType[*Unavailable](err); !ok || !errors.Is(busy, errSlowBusy) || busy.RetryAfter <= 0 {
			t.Errorf("%s: got %v, want to be told to come back", id, err)
		}
	}
	if _, err := a.Token(t.Context(), withBasic("new", "right")); !errors.Is(err, errSlowBusy) {
		t.Errorf("one that was not verified yet: got %v, want to be told to come back", err)
	}
	for _, id := range []string{"imported", "ours"} {
		if _, err := a.Token(t.Context(), withBasic(id, "right")); err != nil {
			t.Errorf("%s: got %v, want a token", id, err)
		}
	}
	for range cap(a.slow.queue) {
		<-a.slow.queue
	}
	for range cap(a.slow.turns) { // at work
		a.slow.turns <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the caller waits no longer
	if err := a.slow.complete(ctx, "wrong", &slowRun{}); !errors.Is(err, errSlowBusy) {
		t.Errorf("got %v, want to be told to come back", err)
	}
	if len(a.slow.queue) != 0 {
		t.Error("who went away still waits")
	}
}

// TestSlowFloodOfOneAddress: when many wait for a slow hash, one address is told to come back before the others are.
func TestSlowFloodOfOneAddress(t *testing.T) {
	s := newSlowSecrets()
	from := func(address string) *slowRun { return &slowRun{remote: address} }
	var waiting []*slowRun
	join := func(address string) bool {
		run := from(address)
		joined := s.queueUp(run)
		if joined {
			waiting = append(waiting, run)
		}
		return joined
	}
	for i := range cap(s.queue)/2 + 1 {
		if !join("2001:db8::1") {
			t.Fatalf("the address that is alone is refused after %d", i)
		}
	}
	if join("2001:db8::2") { // of the same /64
		t.Error("an address takes what others need")
	}
	for i := range slowShare {
		if !join("192.0.2.1:443") {
			t.Fatalf("another address is refused after %d", i)
		}
	}
	if join("192.0.2.1:444") {
		t.Error("another address takes what others need")
	}
	for i := 0; len(s.queue) < cap(s.queue); i++ {
		if !join(fmt.Sprintf("198.51.100.%d:1", i)) {
			t.Fatalf("an address is refused while there is room")
		}
	}
	if join("203.0.113.1:1") {
		t.Error("more wait than can")
	}
	for _, run := range waiting {
		s.goAway(run)
	}
	if len(s.queue) != 0 || len(s.sources) != 0 {
		t.Errorf("%d wait, and %d addresses are remembered", len(s.queue), len(s.sources))
	}
}

// TestUpgradeSecrets: a secret that was good gets a hash of ours: a fast one if it was generated, a slow one if it could be
// guessed. One that was not good gets none, nor that of a client who may not come in.
func TestUpgradeSecrets(t *testing.T) {
	const generated, thought = "htoBR8PET.NgtqcORvFAfJ4Eki", "correct horse"
	suspended := withHash("slow-suspended", cheapHash(t, thought))
	suspended.Suspended = true
	a, s := tracing(t, withHash("a", cheapHash(t, generated)), withHash("b", cheapHash(t, thought)), withHash("c", cheapHash(t, "x")), suspended)
	for id, secret := range map[string]string{"a": generated, "b": thought, "c": "y", "slow-suspended": thought} {
		_, err := a.Token(t.Context(), withBasic(id, secret))
		if (err == nil) != (id == "a" || id == "b") {
			t.Fatalf("%s: %v", id, err)
		}
	}
	failed := errors.New("the database is away")
	err := a.UpgradeSecrets(t.Context(), func(context.Context, []store.SecretChange) error { return failed })
	if !errors.Is(err, failed) {
		t.Errorf("got %v, want %v", err, failed)
	}
	made := map[string]store.SecretChange{}
	must(t, a.UpgradeSecrets(t.Context(), func(_ context.Context, changes []store.SecretChange) error {
		for _, change := range changes {
			made[change.ClientID] = change
			client, err := s.Store.Clients().Get(t.Context(), change.ClientID)
			must(t, err)
			if client.Secrets[0].Hash != change.Old || client.Secrets[0].ID != change.SecretID {
				t.Errorf("%s: the old hash is %s, not %v", change.ClientID, change.Old, client.Secrets)
			}
			client.Secrets[0].Hash = change.New
			must(t, s.Store.Clients().Put(t.Context(), client))
		}
		return nil
	}))
	if len(made) != 2 || made["a"].New != store.HashSecret(generated) {
		t.Errorf("got %v, want those of a and b", made)
	}
	if hash, err := slowhash.Parse(made["b"].New); err != nil || !hash.Ours() || !hash.Verify(thought) {
		t.Errorf("b: got %s, want a slow one of ours", made["b"].New)
	}
	must(t, a.Poll(t.Context()))
	before := a.slow.spent
	for id, secret := range map[string]string{"a": generated, "b": thought} {
		if _, err := a.Token(t.Context(), withBasic(id, secret)); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if a.slow.spent != before {
		t.Error("the new hash was verified slowly, although the secret is known")
	}
	must(t, a.UpgradeSecrets(t.Context(), func(_ context.Context, changes []store.SecretChange) error {
		return fmt.Errorf("handed out again: %v", changes)
	}))
}
