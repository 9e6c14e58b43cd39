package adminapi

import (
	"context"
	"time"

	"github.com/writ-auth/writ/internal/registry"
)

// idempotencyKey is the header with which a request can be repeated.
const idempotencyKey = "Idempotency-Key"

type newSecret struct {
	Request string `header:"Idempotency-Key" doc:"A text of the caller's choice that no other request has. When the request is sent again with it, by the same caller, the answer is that of the first: the same secret" maxLength:"255"`
	ClientChange
	Body SecretSettings
}

type secretRotation struct {
	Request string `header:"Idempotency-Key" doc:"A text of the caller's choice that no other request has. When the request is sent again with it, by the same caller, the answer is that of the first: the same secret" maxLength:"255"`
	ClientChange
	Body SecretRotation
}

type ofClientSecret struct {
	ClientChange
	Secret string `path:"secret" doc:"The secret's ID"`
	Force  bool   `query:"force" doc:"Also if it is the last one that the client can authenticate with"`
}

func (a *api) addClientSecret(ctx context.Context, in *newSecret) (*answer[NewSecret], error) {
	return answered(in.in(a.registry).AddSecret(ctx, actor(ctx), in.Client, in.Body, in.Request))
}

func (a *api) rotateClientSecret(ctx context.Context, in *secretRotation) (*answer[NewSecret], error) {
	return answered(in.in(a.registry).RotateSecret(ctx, actor(ctx), in.Client, rotation(in.Body), in.Request))
}

func rotation(r SecretRotation) registry.SecretRotation {
	keep := registry.DefaultKeep
	if r.Keep != nil {
		// Past the longest that is allowed, and not so far that it comes round again.
		keep = time.Duration(min(*r.Keep, 400*24*60*60)) * time.Second
	}
	return registry.SecretRotation{Name: r.Name, Expires: r.Expires, Keep: keep, Limit: r.Limit, LiftLimit: r.LiftLimit}
}

func (a *api) revokeClientSecret(ctx context.Context, in *ofClientSecret) (*none, error) {
	return done(in.in(a.registry).RevokeSecret(ctx, actor(ctx), in.Client, in.Secret, in.Force))
}
