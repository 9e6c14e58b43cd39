package keyring_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store/memstore"
)

// TestOperatorsAndNodes has operators rotate and withdraw keys at any node and at any time, while both nodes tick and issue:
// the nodes agree, and a token is accepted by both for as long as it lives unless its key was withdrawn.
func TestOperatorsAndNodes(t *testing.T) {
	type token struct {
		key     string
		expires time.Time
	}
	rapid.Check(t, func(t *rapid.T) {
		ctx, s, now := context.Background(), memstore.New(), start
		policy := keyring.Policy{Lifetime: 10 * 24 * time.Hour, Announce: time.Hour, MaxTokenTTL: 2 * time.Hour}
		var nodes [2]*keyring.Ring
		open := func(i int) {
			var err error
			nodes[i], err = keyring.Open(ctx, s, keyring.Options{Root: root, Policy: policy, Now: func() time.Time { return now }})
			check(t, err)
			check(t, nodes[i].Ensure(ctx, jose.ES256))
		}
		open(0)
		open(1)
		var tokens []token
		withdrawn := map[string]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			n := nodes[rapid.IntRange(0, 1).Draw(t, "node")]
			switch rapid.SampledFrom([]string{"time", "time", "time", "rotate", "rotate now", "revoke", "restart"}).Draw(t, "step") {
			case "time":
				now = now.Add(time.Duration(rapid.Int64Range(1, int64(policy.Announce)).Draw(t, "by")))
			case "rotate":
				rotate(t, n, false)
			case "rotate now":
				rotate(t, n, true)
			case "revoke":
				id := rapid.SampledFrom(n.List()).Draw(t, "key").ID
				check(t, n.Revoke(ctx, id))
				withdrawn[id] = true
			case "restart":
				now = now.Add(time.Duration(rapid.Int64Range(1, int64(30*24*time.Hour)).Draw(t, "down for")))
				open(0)
				open(1)
			}
			for _, each := range nodes {
				check(t, each.Tick(ctx))
			}
			check(t, nodes[0].Tick(ctx)) // what the other one just did
			one, err := nodes[0].Signer(jose.ES256)
			check(t, err)
			two, err := nodes[1].Signer(jose.ES256)
			check(t, err)
			if keys := len(nodes[0].Keys()); keys > jose.MaxJWKSKeys {
				t.Fatalf("%d keys are published", keys)
			}
			if one.KeyID != two.KeyID || withdrawn[one.KeyID] {
				t.Fatalf("%s signs here and %s there", one.KeyID, two.KeyID)
			}
			tokens = append(tokens, token{one.KeyID, now.Add(policy.MaxTokenTTL)})
			for _, issued := range tokens {
				for i, each := range nodes {
					_, found := each.Find(issued.key)
					if alive := now.Before(issued.expires) && !withdrawn[issued.key]; alive && !found {
						t.Fatalf("node %d has lost %s, whose token lives until %v; it is %v", i, issued.key, issued.expires, now)
					}
					if found && withdrawn[issued.key] {
						t.Fatalf("node %d accepts tokens of %s, which was withdrawn", i, issued.key)
					}
				}
			}
		}
	})
}

// rotate rotates, unless there are too many keys already, as the ring says.
func rotate(t *rapid.T, n *keyring.Ring, immediately bool) {
	t.Helper()
	_, err := n.Rotate(context.Background(), jose.ES256, immediately)
	if errors.Is(err, keyring.ErrTooManyKeys) {
		check(t, n.Tick(context.Background())) // what the other node just did
		if keys := len(n.Keys()); keys < keyring.MaxPublished {
			t.Fatalf("with %d keys: %v", keys, err)
		}
		return
	}
	check(t, err)
}

func check(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
