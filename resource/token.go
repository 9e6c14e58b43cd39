package resource

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/oauth"
)

// A Token is what a verified access token says. It is the caller's own: changing it changes nothing for others.
//
// Subject, ClientID and ID hold no control characters and are at most 1 KiB long each, so that a name cannot smuggle a
// line into a header or a log.
type Token struct {
	Issuer   string
	Subject  string         // who acts; with client credentials, the client itself
	ClientID string         // the client that got the token
	Audience oauth.Audience // always names the Verifier's own audience
	Scope    oauth.Scope
	Roles    []string
	ID       string // jti, unique per token
	Expires  time.Time
	IssuedAt time.Time // zero if introspection does not say

	bound *pop.Confirmation // never changed, and so shared by clones; nil for a bearer token
	raw   []byte            // the JSON object with all claims; never changed, either
}

// A Binding is the key, or the two keys, that a token is bound to. Its zero value is that of a bearer token.
type Binding struct {
	Key         string // SHA-256 thumbprint of the client's DPoP key (RFC 7638; RFC 9449, 6.1)
	Certificate string // SHA-256 thumbprint of the client's certificate (RFC 8705, 3.1)
}

// Bound returns what the token is bound to. Behind Require, the caller has proved for this request to hold all of it.
func (t *Token) Bound() Binding {
	if t.bound == nil {
		return Binding{}
	}
	return Binding{Key: t.bound.Key, Certificate: t.bound.Certificate}
}

// HasRole reports whether the token carries the role: exactly, never as a part of another.
func (t *Token) HasRole(role string) bool { return slices.Contains(t.Roles, role) }

// LogValue lets a Token be logged: who, what and until when.
func (t *Token) LogValue() slog.Value {
	return slog.GroupValue(slog.String("client_id", t.ClientID), slog.String("sub", t.Subject),
		slog.String("jti", t.ID), slog.String("scope", t.Scope.String()), slog.Time("exp", t.Expires))
}

// clone keeps a handler that changes its Token from changing what the next request of the same caller may do.
func (t *Token) clone() *Token {
	c := *t
	c.Audience, c.Scope, c.Roles = slices.Clone(t.Audience), slices.Clone(t.Scope), slices.Clone(t.Roles)
	return &c
}

type contextKey struct{}

// FromContext returns the token of the request that a handler behind Require serves, and nil elsewhere.
func FromContext(ctx context.Context) *Token {
	t, _ := ctx.Value(contextKey{}).(*Token)
	return t
}

func withToken(ctx context.Context, t *Token) context.Context {
	return context.WithValue(ctx, contextKey{}, t)
}
