// Package oauth2source gives the tokens of a client.Source to libraries that take an oauth2.TokenSource, such as those
// of Google and gRPC. It is apart from package client so that only who needs golang.org/x/oauth2 links it.
package oauth2source

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/oauth2"

	"github.com/writ-auth/writ/client"
)

// New returns source as an oauth2.TokenSource. It is safe for concurrent use and remembers nothing: the cache, the
// renewal ahead of time and the bounds on waiting are those of source. The interface has no context, so that a caller
// cannot end the wait early; source ends it after 30 seconds.
//
// Give it to oauth2.Transport as it is. oauth2.NewClient and oauth2.ReuseTokenSource put a second cache in front, which
// keeps a token until ten seconds before its end and renews it while callers wait. Where nothing forces an
// oauth2.TokenSource on you, client.Source.Client does more: it keeps the token inside the resource and replaces one that
// the API refuses.
//
// A source with Config.DPoP gives an error: whoever takes an oauth2.TokenSource sends the token without the proof that
// each request needs, and every API would refuse it. A token that is bound to a certificate must go over connections that
// present it: make the Base of oauth2.Transport one that does.
func New(source *client.Source) oauth2.TokenSource { return tokenSource{source} }

type tokenSource struct{ source *client.Source }

var errDPoP = errors.New("oauth2source: the token is bound to a DPoP key, and x/oauth2 cannot prove to have it: use client.Source.Client, or leave out Config.DPoP")

func (t tokenSource) Token() (*oauth2.Token, error) {
	token, err := t.source.Token(context.Background())
	if err != nil {
		return nil, fmt.Errorf("oauth2source: %w", err)
	}
	if token.Type != "Bearer" {
		return nil, errDPoP
	}
	return &oauth2.Token{AccessToken: token.AccessToken(), TokenType: token.Type, Expiry: token.Expires}, nil
}
