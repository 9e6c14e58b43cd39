package adminapi

import (
	"context"
	"net/http"
)

func (a *api) importAll(ctx context.Context, in *sent[Import]) (*answer[ImportResult], error) {
	return answered(a.registry.Import(ctx, actor(ctx), in.Body))
}

// Import takes over what another authorization server knew, all of it or nothing.
func (c *Caller) Import(ctx context.Context, wanted Import) (ImportResult, error) {
	return call[ImportResult](ctx, c, http.MethodPost, "/import", wanted)
}
