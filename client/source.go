package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// A Source returns a token whenever one is needed. It is safe for concurrent use, holds no goroutine while nobody asks,
// and needs no closing. Make one per process and share it: each Source has a cache of its own.
type Source struct {
	server *server
	target target
	places []place
	cache  cache
}

// A target is what a token is for: the key of the cache.
type target struct{ resource, scope string }

// Token returns a token that is valid now. Nearly always it comes from the cache and costs no waiting: between 80 and
// 90 percent of a token's life the first call starts a renewal in the background, and as long as that fails the old
// token is returned until it expires. All callers that must wait share one request to the issuer; that request has its
// own deadline, so that ctx ends only the wait of this caller.
//
// An error that the issuer sent is an *oauth.Error inside: errors.Is(err, oauth.InvalidClient) tells them apart.
// A connection error, 429 or 5xx is met with up to two further attempts, and Retry-After is heeded. After a failure the
// same error is returned for up to five seconds, or for as long as Retry-After says, without asking again.
func (s *Source) Token(ctx context.Context) (*Token, error) {
	token, err := s.cache.get(ctx)
	if err != nil {
		return nil, fmt.Errorf("client: token for %s: %w", s.server.config.ClientID, err)
	}
	return token, nil
}

// Invalidate tells the Source that an API refused token, so that the next Token call obtains another one. It reports
// whether that will happen: an API that refuses every token is not worth more than one token request in five seconds.
// Transport calls it; use it where you send tokens yourself.
func (s *Source) Invalidate(token *Token) bool { return s.cache.invalidate(token) }

// With returns the Source for another resource and scope of the same client: it shares connection, credential and
// discovery, and has its own token. The same arguments return the same Source, so calling With for each request is
// fine. Sources are kept as long as the first one, 1024 at most; further ones work and are not kept.
func (s *Source) With(resource, scope string) (*Source, error) {
	if err := errors.Join(checkResource(resource), checkScope(scope)); err != nil {
		return nil, fmt.Errorf("client: with: %w", err)
	}
	return s.server.source(target{resource: resource, scope: normalScope(scope)}), nil
}

// Client returns an HTTP client that sends a token with each request: see Transport. It has no timeout; give requests a
// context. Its Transport is a *Transport with Base set, for callers who want to wrap that.
func (s *Source) Client() *http.Client {
	return &http.Client{Transport: &Transport{Source: s, Base: carrier{s.server}}}
}
