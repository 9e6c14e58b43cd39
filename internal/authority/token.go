package authority

import (
	"context"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// An Authorization is what a grant decided and narrow limited: everything that the token will say, before it is minted.
type Authorization struct {
	Subject   string
	ClientID  string
	Audience  []string
	Scope     oauth.Scope
	Roles     []string
	Lifetime  time.Duration
	Format    string // of the audience's tokens
	Algorithm string

	after time.Time // tokens from before it are inactive

	Confirmation *pop.Confirmation // the key that the token is bound to; nil for a bearer token
	Claims       string            // static ones, as effective has them
}

// A grant is a way to ask for a token: the parameters that it reads, and what it decides about a client that
// authenticated and may use it.
type grant struct {
	parameters []string
	decide     func(a *Authority, client *client, form Form) (*Authorization, error)
}

// grants are the grant types there are. The metadata lists what stands here.
var grants = map[string]grant{
	oauth.ClientCredentials: clientCredentials,
}

// Token decides about a token request, in the order of STANDARDS, section 5: what each step says must hold for every
// token, whatever the grant. It returns an *oauth.Error for a refusal, an *Unavailable when nothing could be decided,
// and a token only after the journal has the event on disk.
func (a *Authority) Token(ctx context.Context, r *Request) (*oauth.TokenResponse, error) {
	response, err := a.token(ctx, r)
	if err != nil {
		return nil, a.refuse(eventRefused, r, err)
	}
	return response, nil
}

func (a *Authority) token(ctx context.Context, r *Request) (*oauth.TokenResponse, error) {
	grantType, err := r.required("grant_type")
	if err != nil {
		return nil, err
	}
	if len(r.Form.Get("scope")) > oauth.MaxScopeBytes {
		return nil, oauth.Errorf(oauth.InvalidScope, "scope is longer than 2048 bytes")
	}
	client, err := a.authenticate(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := a.pace.take(&client.asked, a.now); err != nil {
		return nil, err
	}
	grant, known := grants[grantType]
	if !known {
		return nil, oauth.Errorf(oauth.UnsupportedGrantType, "this server has no such grant type; use client_credentials")
	}
	if !slices.Contains(client.GrantTypes, grantType) {
		return nil, oauth.Errorf(oauth.UnauthorizedClient, "the client is not registered for this grant type")
	}
	confirmation, err := a.confirm(ctx, r, client)
	if err != nil {
		return nil, err
	}
	authorization, err := grant.decide(a, client, r.Form.only(grant.parameters))
	if err != nil {
		return nil, err
	}
	if allowed := a.profile.Algorithms; allowed != nil && authorization.Format != store.FormatOpaque && !slices.Contains(allowed, authorization.Algorithm) {
		return nil, oauth.Errorf(oauth.InvalidTarget, "tokens for this resource are signed in a way that the profile of this server does not allow")
	}
	if err := client.limit.hold(authorization); err != nil {
		return nil, err
	}
	authorization.Confirmation, authorization.after = confirmation, client.tokensAfter(authorization.Audience)
	r.Outcome.Grant = grantType
	response, err := a.mint(ctx, r, client, authorization)
	if err == nil {
		a.noteScopes(client, authorization.Audience, response.Scope, r.Remote)
	}
	return response, err
}

// mint makes the token of an authorization, or takes the one of a moment ago again. It leaves only when the event of its issue is
// on disk: what was issued can always be told, whatever happens next.
func (a *Authority) mint(ctx context.Context, r *Request, client *client, authorization *Authorization) (*oauth.TokenResponse, error) {
	now := a.now()
	made := a.again(ctx, client, authorization, now)
	if made == nil {
		made = &minted{claims: claimsOf(a.issuer, now, newTokenID(), authorization)}
		begun := a.begin()
		var err error
		made.token, err = a.encode(authorization, made.claims, false)
		a.ended(ctx, "sign", begun, err)
		if err != nil {
			return nil, unavailable(err)
		}
	}
	token, claims := made.token, made.claims
	if len(token) > jose.MaxTokenBytes {
		// We could neither introspect nor revoke it.
		return nil, oauth.Errorf(oauth.InvalidScope, "the token would be larger than 16 KiB: ask for fewer resources or scopes")
	}
	event := audit.Event{
		Time: now, Kind: eventIssued, ClientID: claims.ClientID, TokenID: claims.ID, Scope: claims.Scope,
		Audience: authorization.Audience, RequestID: r.ID, Remote: r.Remote,
	}
	if err := a.tell(ctx, event, made.repeated); err != nil {
		return nil, unavailable(err)
	}
	if made.remember != nil {
		made.remember()
	}
	r.Outcome.issued(authorization)
	r.Outcome.Repeated = made.repeated
	return &oauth.TokenResponse{
		AccessToken: token,
		TokenType:   authorization.Confirmation.TokenType(),
		ExpiresIn:   int64(claims.Expires) - now.Unix(),
		Scope:       claims.Scope,
	}, nil
}

// tell has the event on disk when it returns nil; that of a token given again, whose first one is there, soon after and summed up.
func (a *Authority) tell(ctx context.Context, event audit.Event, repeated bool) error {
	if repeated {
		event.Kind = eventRepeated
		return a.journal.Repeat(event)
	}
	begun := a.begin()
	err := a.journal.Record(ctx, event)
	a.ended(ctx, "journal", begun, err)
	return err
}

// begin and ended tell of a step, where somebody wants to hear of it.
func (a *Authority) begin() time.Time {
	if a.step == nil {
		return time.Time{}
	}
	return time.Now()
}

func (a *Authority) ended(ctx context.Context, step string, begun time.Time, err error) {
	if a.step != nil {
		a.step(ctx, step, begun, err)
	}
}
