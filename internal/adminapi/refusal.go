package adminapi

import (
	"context"
	"errors"

	"github.com/writ-auth/writ/admin/wire"
	"github.com/writ-auth/writ/internal/registry"
)

type ofRefusal struct {
	ID string `path:"id" doc:"The ID in the answer that the caller got" example:"7k3m9x2qpt" maxLength:"64"`
}

var errNoExplanations = errors.New("adminapi: nothing here explains refusals")

// explain checks the caller against what is registered now, as every other route does: the registry is not asked for anything
// else when nobody is named.
func (a *api) explain(ctx context.Context, in *ofRefusal) (*answer[Explanation], error) {
	if _, _, err := a.registry.Clients(ctx, actor(ctx), wire.ClientFilter{}, "", 1); err != nil {
		return nil, err
	}
	if a.explains == nil {
		return nil, errNoExplanations
	}
	told, err := a.explains(ctx, in.ID)
	if err != nil || told.Client != "" || told.ClientID == "" {
		return answered(told, err)
	}
	// Who configures a client with its name instead of its ID makes the most frequent of all mistakes.
	if meant, err := a.registry.Client(ctx, actor(ctx), told.ClientID); err == nil {
		told.Registered = map[string]string{"client_id": meant.ID}
		told.Remedy = told.ClientID + " is the name of a client; its client_id is " + meant.ID
		told.Commands = []string{"writ client show " + meant.ClientName}
	}
	return answered(told, nil)
}

// NoRefusal is the error for an ID that no refusal has.
func NoRefusal(text string) error { return &registry.Error{Code: registry.NotFound, Text: text} }
