package admin

import (
	"context"
	"iter"
	"net/http"
)

// CreateInitialToken makes a token with which clients register themselves (RFC 7591). The answer shows it, this once.
func (a *API) CreateInitialToken(ctx context.Context, settings InitialTokenSettings, options ...Option) (NewInitialToken, error) {
	return call[NewInitialToken](ctx, a, http.MethodPost, "/initial-access-tokens", settings, options)
}

// InitialToken returns an initial access token by ID or name.
func (a *API) InitialToken(ctx context.Context, nameOrID string, options ...Option) (InitialToken, error) {
	return call[InitialToken](ctx, a, http.MethodGet, "/initial-access-tokens/"+segment(nameOrID), nil, options)
}

// InitialTokens returns all initial access tokens in the order of their IDs.
func (a *API) InitialTokens(ctx context.Context) iter.Seq2[InitialToken, error] {
	return pages[InitialToken](ctx, a, "/initial-access-tokens", nil)
}

// RevokeInitialToken removes an initial access token: nobody registers with it any more. The clients that did stay.
func (a *API) RevokeInitialToken(ctx context.Context, nameOrID string, options ...Option) error {
	return a.order(ctx, http.MethodDelete, "/initial-access-tokens/"+segment(nameOrID), nil, options)
}
