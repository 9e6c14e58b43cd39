package client

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/writ-auth/writ/oauth"
)

// A Token is an access token and what the issuer said about it. Callers share it and must not change it. It prints and
// marshals without its value.
type Token struct {
	value func() string // behind a function for the reason that secret gives

	prover     *prover     // makes the proofs of a DPoP token; nil for others
	connection *connection // that the token came over, and may be bound to
	places     []place     // where it may be sent

	// Type is "Bearer", or "DPoP" for a token that is bound to the client's DPoP key, however the issuer spelt it.
	Type string
	// Expires is when the token dies by the local clock, counted from when it was asked for. An issuer that does not
	// say how long it lives is taken to mean DefaultLifetime; MaxLifetime bounds what it says, and so does the end of
	// the certificate that it came over.
	Expires time.Time
	// Scope is what was granted, which can be less than was asked for.
	Scope oauth.Scope
}

// AccessToken returns the token itself: a secret. A DPoP token is of use only together with a proof: see Authorize.
func (t *Token) AccessToken() string { return t.value() }

// Authorize puts the token onto r, and for a DPoP token a proof for this one request (RFC 9449, 7.1): call it when
// everything else about r is settled, and again for each repetition. It is for callers who send requests themselves;
// Transport does it for the others. The rules on where a token may go are those of Transport; breaking them is an error,
// and then r is as it was. A token that is bound to a certificate must be sent over the connections of Source.Client.
func (t *Token) Authorize(r *http.Request) error {
	if err := checkPlace(r.URL, t.places); err != nil {
		return fmt.Errorf("client: authorize: %w", err)
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if t.prover != nil {
		if err := t.prover.prove(r, t.AccessToken()); err != nil {
			return fmt.Errorf("client: authorize: %w", err)
		}
	}
	r.Header.Set("Authorization", t.Type+" "+t.AccessToken())
	return nil
}

// Learn takes the answer to a request that Authorize was called for. It keeps the nonce for further proofs that the API
// sent, if any (RFC 9449, 9), and reports whether the API wants the request once more with that nonce: then call
// Authorize again, and send again, once. Show it every answer; for a Bearer token it does nothing. Transport does it by
// itself.
func (t *Token) Learn(response *http.Response) bool {
	if t.prover == nil || response.Request == nil {
		return false
	}
	brought := t.prover.learn(audienceOf(response.Request.URL, false), response.Header)
	return brought && response.StatusCode == http.StatusUnauthorized && challenged(response, oauth.DPoP, oauth.UseDPoPNonce)
}

// over returns ctx with the connection that the token came over, for a carrier.
func (t *Token) over(ctx context.Context) context.Context {
	if t.connection == nil || t.connection.certificate == nil {
		return ctx
	}
	return context.WithValue(ctx, connectionKey{}, t.connection)
}

// Format prints the token without its value, whatever the verb: tokens leak through log lines that meant no harm.
func (t *Token) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, t.describe()) }

// LogValue logs the token without its value.
func (t *Token) LogValue() slog.Value { return slog.StringValue(t.describe()) }

func (t *Token) describe() string {
	if t == nil {
		return "no token"
	}
	return t.Type + " REDACTED until " + t.Expires.UTC().Format(time.RFC3339)
}
