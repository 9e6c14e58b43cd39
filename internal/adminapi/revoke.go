package adminapi

import (
	"context"

	"github.com/writ-auth/writ/admin/wire"
)

type clientTokens struct {
	ClientChange
	Body TokenRevocation
}

type resourceTokens struct {
	ResourceChange
	Body TokenRevocation
}

func (a *api) revokeClientTokens(ctx context.Context, in *clientTokens) (*none, error) {
	return done(in.in(a.registry).RevokeClientTokens(ctx, actor(ctx), in.Client, in.Body.IssuedBefore))
}

func (a *api) revokeResourceTokens(ctx context.Context, in *resourceTokens) (*none, error) {
	uri, ok := wire.ResourceURI(in.ID)
	if !ok {
		return nil, errNoResource
	}
	return done(in.in(a.registry).RevokeResourceTokens(ctx, actor(ctx), uri, in.Body.IssuedBefore))
}

func (a *api) revokeAllTokens(ctx context.Context, in *sent[TokenRevocation]) (*none, error) {
	return done(a.registry.RevokeAllTokens(ctx, actor(ctx), in.Body.IssuedBefore))
}
