package adminapi

import (
	"context"
)

func (a *api) importAll(ctx context.Context, in *sent[Import]) (*answer[ImportResult], error) {
	return answered(a.registry.Import(ctx, actor(ctx), in.Body))
}
