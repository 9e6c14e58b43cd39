package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/writ-auth/writ/admin/wire"
)

// RevokeClientTokens makes a client's tokens from before a time, now for the zero time, inactive.
func (a *API) RevokeClientTokens(ctx context.Context, nameOrID string, before time.Time, options ...Option) error {
	return a.revokeTokens(ctx, "/clients/"+segment(nameOrID), before, options)
}

// RevokeResourceTokens makes the tokens for a resource from before a time, now for the zero time, inactive.
func (a *API) RevokeResourceTokens(ctx context.Context, uri string, before time.Time, options ...Option) error {
	return a.revokeTokens(ctx, "/resources/"+wire.ResourceID(uri), before, options)
}

// RevokeAllTokens makes all tokens from before a time, now for the zero time, inactive, the caller's own among them.
func (a *API) RevokeAllTokens(ctx context.Context, before time.Time) error {
	return a.revokeTokens(ctx, "", before, nil)
}

func (a *API) revokeTokens(ctx context.Context, of string, before time.Time, options []Option) error {
	return a.order(ctx, http.MethodPost, of+"/revoke-tokens", TokenRevocation{IssuedBefore: before}, options)
}
