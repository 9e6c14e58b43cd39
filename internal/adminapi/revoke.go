package adminapi

import (
	"context"
	"net/http"
	"time"

	"github.com/writ-auth/writ/admin/wire"
)

type clientTokens struct {
	Client string `path:"client" doc:"The client's ID or name" example:"billing"`
	Body   TokenRevocation
}

type resourceTokens struct {
	ID   string `path:"id" doc:"The base64url of the resource's URI" example:"aHR0cHM6Ly9hcGkuZXhhbXBsZS5jb20"`
	Body TokenRevocation
}

func (a *api) revokeClientTokens(ctx context.Context, in *clientTokens) (*none, error) {
	return done(a.registry.RevokeClientTokens(ctx, actor(ctx), in.Client, in.Body.IssuedBefore))
}

func (a *api) revokeResourceTokens(ctx context.Context, in *resourceTokens) (*none, error) {
	uri, ok := wire.ResourceURI(in.ID)
	if !ok {
		return nil, errNoResource
	}
	return done(a.registry.RevokeResourceTokens(ctx, actor(ctx), uri, in.Body.IssuedBefore))
}

func (a *api) revokeAllTokens(ctx context.Context, in *sent[TokenRevocation]) (*none, error) {
	return done(a.registry.RevokeAllTokens(ctx, actor(ctx), in.Body.IssuedBefore))
}

// RevokeClientTokens makes a client's tokens from before a time, now for the zero time, inactive.
func (c *Caller) RevokeClientTokens(ctx context.Context, nameOrID string, before time.Time) error {
	return c.revokeTokens(ctx, "/clients/"+segment(nameOrID), before)
}

// RevokeResourceTokens makes the tokens for a resource from before a time, now for the zero time, inactive.
func (c *Caller) RevokeResourceTokens(ctx context.Context, uri string, before time.Time) error {
	return c.revokeTokens(ctx, "/resources/"+wire.ResourceID(uri), before)
}

// RevokeAllTokens makes all tokens from before a time, now for the zero time, inactive.
func (c *Caller) RevokeAllTokens(ctx context.Context, before time.Time) error {
	return c.revokeTokens(ctx, "", before)
}

func (c *Caller) revokeTokens(ctx context.Context, of string, before time.Time) error {
	_, err := c.send(ctx, http.MethodPost, of+"/revoke-tokens", TokenRevocation{IssuedBefore: before})
	return err
}
