package adminapi

import (
	"context"

	"github.com/writ-auth/writ/admin/wire"
)

type ofInitialToken struct {
	Token string `path:"token" doc:"The token's ID or name" example:"partners"`
}

func (a *api) listInitialTokens(ctx context.Context, in *Listed) (*answer[wire.Page[wire.InitialToken]], error) {
	return paged(a.list("initial access tokens", ""), *in, func(after string, limit int) ([]wire.InitialToken, string, error) {
		return a.registry.InitialTokens(ctx, actor(ctx), after, limit)
	})
}

func (a *api) createInitialToken(ctx context.Context, in *created[wire.InitialTokenSettings]) (*answer[wire.NewInitialToken], error) {
	return answered(a.registry.Once(in.Request).CreateInitialToken(ctx, actor(ctx), in.Body))
}

func (a *api) initialToken(ctx context.Context, in *ofInitialToken) (*answer[wire.InitialToken], error) {
	return answered(a.registry.InitialToken(ctx, actor(ctx), in.Token))
}

func (a *api) revokeInitialToken(ctx context.Context, in *ofInitialToken) (*none, error) {
	return done(a.registry.RevokeInitialToken(ctx, actor(ctx), in.Token))
}
