package adminapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/writ-auth/writ/internal/registry"
)

// An Explanation tells an operator why a request was refused.
type Explanation struct {
	ID         string            `json:"id" doc:"What the answer to the caller was called" example:"7k3m9x2qpt"`
	Time       time.Time         `json:"time"`
	Endpoint   string            `json:"endpoint" doc:"token, introspection or revocation" example:"token"`
	ClientID   string            `json:"client_id" doc:"Whom the request named, which need not be who sent it; empty: nobody"`
	Client     string            `json:"client_name" doc:"The name of the client, if there is one now" example:"billing"`
	Remote     string            `json:"remote" doc:"The address of the caller"`
	RequestID  string            `json:"request_id" doc:"What the log calls the request"`
	Answer     string            `json:"answer" doc:"What the caller was told"`
	Reason     string            `json:"reason" doc:"Why, in a fixed word" example:"secret_expired"`
	Rule       string            `json:"rule" doc:"The same as a sentence"`
	Presented  map[string]string `json:"presented" doc:"What the request had, as its sender wrote it and as far as it is no secret"`
	Registered map[string]string `json:"registered" doc:"What is registered about it now"`
	Remedy     string            `json:"remedy" doc:"What would have worked"`
	Commands   []string          `json:"commands" doc:"Commands that mend it, each in its way"`
	Counted    int64             `json:"counted" doc:"When the journal has no line for this refusal alone: how many refusals its line stands for. Else 0"`
}

type ofRefusal struct {
	ID string `path:"id" doc:"The ID in the answer that the caller got" example:"7k3m9x2qpt" maxLength:"64"`
}

var errNoExplanations = errors.New("adminapi: nothing here explains refusals")

// explain checks the caller against what is registered now, as every other route does: the registry is not asked for anything
// else when nobody is named.
func (a *api) explain(ctx context.Context, in *ofRefusal) (*answer[Explanation], error) {
	if _, _, err := a.registry.Clients(ctx, actor(ctx), "", 1); err != nil {
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

// Explain tells why a request was refused, by the ID that its answer had.
func (c *Caller) Explain(ctx context.Context, id string) (Explanation, error) {
	return call[Explanation](ctx, c, http.MethodGet, "/refusals/"+segment(id), nil)
}

// NoRefusal is the error for an ID that no refusal has.
func NoRefusal(text string) error { return &registry.Error{Code: registry.NotFound, Text: text} }
