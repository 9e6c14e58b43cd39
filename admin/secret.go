package admin

import (
	"context"
	"net/http"
	"strconv"
)

// AddSecret gives a client one more secret, beside those that it has. The answer shows it, this once.
func (a *API) AddSecret(ctx context.Context, nameOrID string, settings SecretSettings, options ...Option) (NewSecret, error) {
	return call[NewSecret](ctx, a, http.MethodPost, "/clients/"+segment(nameOrID)+"/secrets", settings, options)
}

// RotateSecret gives a client a new secret, and those that it has an end.
func (a *API) RotateSecret(ctx context.Context, nameOrID string, rotation SecretRotation, options ...Option) (NewSecret, error) {
	return call[NewSecret](ctx, a, http.MethodPost, "/clients/"+segment(nameOrID)+"/secrets/rotate", rotation, options)
}

// RevokeSecret takes a secret from a client at once; the last one that it can authenticate with only with force.
func (a *API) RevokeSecret(ctx context.Context, nameOrID, id string, force bool, options ...Option) error {
	path := "/clients/" + segment(nameOrID) + "/secrets/" + segment(id) + "?force=" + strconv.FormatBool(force)
	return a.order(ctx, http.MethodDelete, path, nil, options)
}
