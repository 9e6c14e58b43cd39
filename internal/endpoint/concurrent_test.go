package endpoint_test

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"testing"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// TestConcurrently is ST-09 for the core: while clients ask for tokens, ask about them and revoke them, an operator
// suspends one of them and keys are rotated. Nothing breaks, and what Poll has seen counts for everything after it.
func TestConcurrently(t *testing.T) {
	s := newServer(t)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	ask := func(client string) error {
		request := &authority.Request{Form: formOf(url.Values{"grant_type": {oauth.ClientCredentials}, "scope": {"read"}}), Remote: "192.0.2.1:1"}
		present(request, client)
		answer, err := s.authority.Token(context.Background(), request)
		if err != nil {
			return err
		}
		request.Form = formOf(url.Values{"token": {answer.AccessToken}})
		if err := s.authority.Revoke(context.Background(), request); err != nil {
			return err
		}
		heard, err := s.authority.Introspect(context.Background(), request)
		if err == nil && heard.Active {
			err = errors.New("a token is active after it was revoked")
		}
		return err
	}
	for i := range 4 {
		client := []string{"c-basic", "c-two"}[i%2]
		group.Go(func() {
			for ctx.Err() == nil {
				err := ask(client)
				if client == "c-basic" && errors.Is(err, oauth.InvalidClient) {
					continue // the operator's
				}
				if err != nil {
					t.Errorf("%s: %v", client, err)
					return
				}
			}
		})
	}
	group.Go(func() {
		for range 20 {
			if _, err := s.ring.Rotate(context.Background(), jose.ES256, true); err != nil {
				t.Error(err)
			}
			if err := s.ring.Tick(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	for range 10 {
		for _, suspended := range []bool{true, false} {
			update(t, s.store, "c-basic", func(c *store.Client) { c.Suspended = suspended })
			s.poll(t)
			if err := ask("c-basic"); errors.Is(err, oauth.InvalidClient) != suspended {
				t.Errorf("suspended %v: got %v", suspended, err)
			}
		}
	}
	stop()
	group.Wait()
}
