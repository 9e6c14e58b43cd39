package adminapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/writ-auth/writ/internal/registry"
)

// idempotencyKey is the header with which a request can be repeated.
const idempotencyKey = "Idempotency-Key"

type newSecret struct {
	Request string `header:"Idempotency-Key" doc:"A text of the caller's choice that no other request has. When the request is sent again with it, by the same caller, the answer is that of the first: the same secret" maxLength:"255"`
	Client  string `path:"client" doc:"The client's ID or name" example:"billing"`
	Body    SecretSettings
}

type secretRotation struct {
	Request string `header:"Idempotency-Key" doc:"A text of the caller's choice that no other request has. When the request is sent again with it, by the same caller, the answer is that of the first: the same secret" maxLength:"255"`
	Client  string `path:"client" doc:"The client's ID or name" example:"billing"`
	Body    SecretRotation
}

type ofClientSecret struct {
	Client string `path:"client" doc:"The client's ID or name" example:"billing"`
	Secret string `path:"secret" doc:"The secret's ID"`
	Force  bool   `query:"force" doc:"Also if it is the last one that the client can authenticate with"`
}

func (a *api) addClientSecret(ctx context.Context, in *newSecret) (*answer[NewSecret], error) {
	return answered(a.registry.AddSecret(ctx, actor(ctx), in.Client, in.Body, in.Request))
}

func (a *api) rotateClientSecret(ctx context.Context, in *secretRotation) (*answer[NewSecret], error) {
	return answered(a.registry.RotateSecret(ctx, actor(ctx), in.Client, rotation(in.Body), in.Request))
}

func rotation(r SecretRotation) registry.SecretRotation {
	keep := registry.DefaultKeep
	if r.Keep != nil {
		// Past the longest that is allowed, and not so far that it comes round again.
		keep = time.Duration(min(*r.Keep, 400*24*60*60)) * time.Second
	}
	return registry.SecretRotation{Name: r.Name, Expires: r.Expires, Keep: keep}
}

func (a *api) revokeClientSecret(ctx context.Context, in *ofClientSecret) (*none, error) {
	return done(a.registry.RevokeSecret(ctx, actor(ctx), in.Client, in.Secret, in.Force))
}

// AddSecret gives a client one more secret. A request that is sent again with the same ID, which may be empty for one that is
// not, has the same answer.
func (c *Caller) AddSecret(ctx context.Context, nameOrID string, settings SecretSettings, request string) (NewSecret, error) {
	return call[NewSecret](ctx, c, http.MethodPost, "/clients/"+segment(nameOrID)+"/secrets", settings, repeatableAs(request)...)
}

// RotateSecret gives a client a new secret, and those that it has an end. A request that is sent again with the same ID, which
// may be empty for one that is not, has the same answer.
func (c *Caller) RotateSecret(ctx context.Context, nameOrID string, rotation SecretRotation, request string) (NewSecret, error) {
	return call[NewSecret](ctx, c, http.MethodPost, "/clients/"+segment(nameOrID)+"/secrets/rotate", rotation, repeatableAs(request)...)
}

// RevokeSecret takes a secret from a client at once; the last one only with force.
func (c *Caller) RevokeSecret(ctx context.Context, nameOrID, id string, force bool) error {
	return order(ctx, c, http.MethodDelete, "/clients/"+segment(nameOrID)+"/secrets/"+segment(id)+"?force="+strconv.FormatBool(force))
}

func repeatableAs(request string) []string {
	if request == "" {
		return nil
	}
	return []string{idempotencyKey, request}
}
