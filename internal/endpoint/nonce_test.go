package endpoint_test

import (
	"bytes"
	"errors"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/oauth"
)

const useNonce = "use_dpop_nonce"

// nonceOf returns the nonce of an answer, which has exactly one that no cache may keep (RFC 9449, 8.2).
func nonceOf(t *testing.T, got answer) string {
	t.Helper()
	values := got.Header.Values("DPoP-Nonce")
	if len(values) != 1 || values[0] == "" || got.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("DPoP-Nonce: got %q, Cache-Control %q", values, got.Header.Get("Cache-Control"))
	}
	return values[0]
}

func TestNonces(t *testing.T) {
	s := newProvingServer(t, withNonces(t))
	var nonce string
	t.Run("D13, CA-37 none sent, and then the one that came back", func(t *testing.T) {
		d := s.draft(t)
		nonce = nonceOf(t, s.prove(t, proving, []string{d.sign(t)}, useNonce, "no_nonce"))
		// The proof itself was not used: the same jti with the nonce is good.
		if next := nonceOf(t, s.prove(t, proving, []string{d.claim("nonce", nonce).sign(t)})); next != nonce {
			t.Errorf("the next nonce is %q at the same time, want %q", next, nonce)
		}
	})
	t.Run("D14 a stale nonce", func(t *testing.T) {
		s.clock.move(2 * time.Minute)
		next := nonceOf(t, s.prove(t, proving, []string{s.draft(t).claim("nonce", nonce).sign(t)}))
		if next == nonce {
			t.Error("a token was issued without the next nonce, and the last one is about to be refused")
		}
		s.clock.move(2 * time.Minute)
		fresh := nonceOf(t, s.prove(t, proving, []string{s.draft(t).claim("nonce", nonce).sign(t)}, useNonce, "wrong_nonce"))
		s.prove(t, proving, []string{s.draft(t).claim("nonce", fresh).sign(t)})
	})
	t.Run("D14 a foreign nonce", func(t *testing.T) {
		foreign, err := pop.NewNonces(bytes.Repeat([]byte{1}, 32), s.clock.Now)
		must(t, err)
		fresh := nonceOf(t, s.prove(t, proving, []string{s.draft(t).claim("nonce", foreign.Current()).sign(t)}, useNonce, "wrong_nonce"))
		s.prove(t, proving, []string{s.draft(t).claim("nonce", fresh).sign(t)})
	})
	t.Run("D12 a nonce does not let a proof be used twice", func(t *testing.T) {
		proof := s.draft(t).claim("nonce", s.authority.Nonce()).sign(t)
		s.prove(t, proving, []string{proof})
		s.prove(t, proving, []string{proof}, badProof, "replayed_proof")
	})
	t.Run("D10 a nonce does not excuse a clock that is an hour off", func(t *testing.T) {
		d := s.draft(t).claim("nonce", s.authority.Nonce()).claim("iat", s.clock.Now().Unix()-3600)
		s.prove(t, proving, []string{d.sign(t)}, badProof, "stale_proof")
	})
	t.Run("D15 what has no proof hears no nonce", func(t *testing.T) {
		if got := s.prove(t, proving, nil, "invalid_request", "no_proof"); got.Header.Get("DPoP-Nonce") != "" {
			t.Errorf("got %q", got.Header.Get("DPoP-Nonce"))
		}
		if got := s.prove(t, "c-basic", nil); got.Header.Get("DPoP-Nonce") != "" {
			t.Errorf("got %q", got.Header.Get("DPoP-Nonce"))
		}
	})
	t.Run("D01 without nonces there is no such header", func(t *testing.T) {
		plain := newProvingServer(t)
		got := plain.prove(t, proving, []string{plain.draft(t).claim("nonce", "any").sign(t)})
		if values := got.Header.Values("DPoP-Nonce"); len(values) > 0 {
			t.Errorf("got %q", values)
		}
	})
}

// nodes starts two servers over one SQLite file, each with a connection of its own and keys from the same root key.
func nodes(t *testing.T, changes ...change) [2]*server {
	t.Helper()
	file, c := filepath.Join(t.TempDir(), "writ.db"), newClock()
	var both [2]*server
	for i := range both {
		s, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + file, Now: c.Now})
		must(t, err)
		t.Cleanup(func() { must(t, s.Close()) })
		if i == 0 {
			seed(t, s)
		}
		both[i] = serve(t, s, c, changes...)
	}
	both[0].enrol(t, proving, func(c *store.Client) { c.DPoPBound = true })
	both[1].poll(t)
	c.move(time.Hour) // the keys are known to everybody
	for _, node := range both {
		must(t, node.ring.Tick(t.Context()))
		node.poll(t)
	}
	return both
}

// TestTwoNodes: a nonce of one node is good on the other, and a proof that was used on one is used on the other.
func TestTwoNodes(t *testing.T) {
	both := nodes(t, withNonces(t))
	one, other := both[0], both[1]
	t.Run("D13 the nonce of one node is good on the other", func(t *testing.T) {
		nonce := nonceOf(t, one.prove(t, proving, []string{one.draft(t).sign(t)}, useNonce, "no_nonce"))
		proof := other.draft(t).claim("nonce", nonce).sign(t)
		if next := nonceOf(t, other.prove(t, proving, []string{proof})); next != nonce {
			t.Errorf("the other node's nonce is %q, want %q", next, nonce)
		}
		t.Run("D12, CA-38 and its proof is used on the first as well", func(t *testing.T) {
			one.prove(t, proving, []string{proof}, badProof, "replayed_proof")
			other.prove(t, proving, []string{proof}, badProof, "replayed_proof")
		})
	})
	t.Run("D14 the nonce of a node with another root key is not", func(t *testing.T) {
		stranger, err := pop.NewNonces([]byte("another root key's derived key .."), one.clock.Now)
		must(t, err)
		one.prove(t, proving, []string{one.draft(t).claim("nonce", stranger.Current()).sign(t)}, useNonce, "wrong_nonce")
	})
	t.Run("D12, CA-38 64 copies at once on two nodes", func(t *testing.T) {
		flood(t, one.draft(t).claim("nonce", one.authority.Nonce()).sign(t), one, other)
	})
}

// TestParallelReplay: of many copies of one proof that arrive together, one gets a token.
func TestParallelReplay(t *testing.T) {
	t.Run("D12, CA-38 64 copies at once", func(t *testing.T) {
		s := newProvingServer(t)
		flood(t, s.draft(t).sign(t), s)
	})
}

func flood(t *testing.T, proof string, servers ...*server) {
	t.Helper()
	var group sync.WaitGroup
	var tokens, refusals atomic.Int32
	start := make(chan struct{})
	for i := range 64 {
		s := servers[i%len(servers)]
		group.Go(func() {
			<-start
			request := &authority.Request{
				Form: formOf(url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}, "resource": {resourceA}}),
				DPoP: []string{proof}, URL: tokenURL, Remote: "192.0.2.1:1",
			}
			present(request, proving)
			_, err := s.authority.Token(t.Context(), request)
			switch {
			case err == nil:
				tokens.Add(1)
			case errors.Is(err, oauth.InvalidDPoPProof):
				refusals.Add(1)
			default:
				t.Errorf("%v", err)
			}
		})
	}
	close(start)
	group.Wait()
	if tokens.Load() != 1 || refusals.Load() != 63 {
		t.Errorf("64 copies of a proof: %d tokens and %d refusals, want 1 and 63", tokens.Load(), refusals.Load())
	}
}
