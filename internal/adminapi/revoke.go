package adminapi

import (
	"context"

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
