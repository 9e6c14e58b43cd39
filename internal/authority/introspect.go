package authority

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// Introspect tells an authenticated caller about a token (RFC 7662). Only the token's own client, and a client that
// serves a resource in the token's audience, hear anything but "not active" (CVE-2026-58425).
func (a *Authority) Introspect(ctx context.Context, r *Request) (*oauth.Introspection, error) {
	answer, _, err := a.introspect(ctx, r)
	if err != nil {
		return nil, a.refuse(eventUnheard, r, err)
	}
	return answer, nil
}

// introspectionAlgorithm signs introspection answers.
const introspectionAlgorithm = jose.ES256

// IntrospectSigned gives the answer of Introspect as a JWT for this caller alone (RFC 9701, 5). What it says of the
// token stands one level down, so that it cannot pass for an access token.
func (a *Authority) IntrospectSigned(ctx context.Context, r *Request) (string, error) {
	answer, caller, err := a.introspect(ctx, r)
	if err != nil {
		return "", a.refuse(eventUnheard, r, err)
	}
	payload, err := json.Marshal(struct {
		Issuer        string               `json:"iss"`
		Audience      string               `json:"aud"`
		IssuedAt      int64                `json:"iat"`
		Introspection *oauth.Introspection `json:"token_introspection"`
	}{a.issuer, caller.ID, a.now().Unix(), answer})
	if err != nil {
		return "", fmt.Errorf("authority: introspection: %w", err)
	}
	signer, err := a.ring.Signer(introspectionAlgorithm)
	if err != nil {
		return "", unavailable(err)
	}
	return a.sign(signer, oauth.TypeIntrospection, payload)
}

func (a *Authority) introspect(ctx context.Context, r *Request) (*oauth.Introspection, *client, error) {
	token, err := r.required("token")
	if err != nil {
		return nil, nil, err
	}
	caller, err := a.authenticate(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	r.Outcome.Result = ResultInactive
	claims, err := a.decode(token)
	if err != nil || !concerns(&claims.Claims, caller) {
		return &oauth.Introspection{}, caller, nil
	}
	confirmation, err := pop.ParseConfirmation(claims.Confirmation)
	if err != nil {
		return &oauth.Introspection{}, caller, nil
	}
	active, err := a.active(ctx, &claims.Claims)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	if !active {
		return &oauth.Introspection{}, caller, nil
	}
	r.Outcome.Result = ResultActive
	return &oauth.Introspection{
		Active: true, Scope: claims.Scope, ClientID: claims.ClientID, TokenType: confirmation.TokenType(),
		Expires: int64(claims.Expires), IssuedAt: int64(claims.IssuedAt), Subject: claims.Subject,
		Audience: claims.Audience, Issuer: claims.Issuer, ID: claims.ID, Roles: claims.Roles,
		Confirmation: claims.Confirmation, Extra: claims.static,
	}, caller, nil
}

// concerns reports whether a caller may hear about a token.
func concerns(claims *oauth.Claims, caller *client) bool {
	return claims.ClientID == caller.ID || slices.ContainsFunc(caller.ResourceServerFor, claims.Audience.Has)
}

// tokensAfter returns the moment from before which no token of a client for an audience is active.
func (c *client) tokensAfter(audience []string) time.Time {
	after := c.NotBefore
	for _, uri := range audience {
		if of := c.grants[uri].resource.NotBefore; of.After(after) {
			after = of
		}
	}
	return after
}

// active reports whether a token of ours is good now: neither expired nor revoked, and its client neither deleted nor
// suspended, nor it or a resource of the token made to start anew since (CVE-2025-64521, CVE-2026-8922). A store that cannot answer is an error: a
// token that may have been revoked is not active, and one that may be good is not dead (CVE-2020-15223).
func (a *Authority) active(ctx context.Context, claims *oauth.Claims) (bool, error) {
	if a.now().Unix() >= int64(claims.Expires) {
		return false, nil
	}
	owner, _, err := a.directory.client(ctx, claims.ClientID)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	issued := time.Unix(int64(claims.IssuedAt), 0)
	if owner.Suspended || issued.Before(owner.NotBefore) {
		return false, nil
	}
	catalog, err := a.directory.current(ctx)
	if err != nil {
		return false, err
	}
	for _, uri := range claims.Audience {
		if issued.Before(catalog.resources[uri].NotBefore) {
			return false, nil
		}
	}
	revoked, err := a.revokedLately(ctx, claims.ID)
	return !revoked && err == nil, err
}
