package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// requestToken makes one token request (RFC 6749, 4.4.2), and a second one if the server wants a nonce in the proof that
// went with the first (RFC 9449, 8).
func (s *server) requestToken(ctx context.Context, endpoint string, t target) (*Token, error) {
	asked := time.Now() // a token's life is counted from here: it can only be longer
	answer, err := s.send(ctx, endpoint, t)
	if err == nil && answer.nonce && answer.status != http.StatusOK && answer.code() == oauth.UseDPoPNonce {
		asked = time.Now()
		answer, err = s.send(ctx, endpoint, t)
	}
	if err != nil {
		return nil, err
	}
	if answer.status != http.StatusOK {
		return nil, s.refusal(answer, t)
	}
	token, err := parseToken(answer, s.tokenType(), t.scope, asked)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", answer.address, err)
	}
	return token, nil
}

// send makes a token request with an assertion and a proof of its own, and returns the answer.
func (s *server) send(ctx context.Context, endpoint string, t target) (*answer, error) {
	request, err := s.tokenRequest(ctx, endpoint, t)
	if err != nil {
		return nil, err
	}
	if s.prover != nil {
		if err := s.prover.prove(request, ""); err != nil {
			return nil, err
		}
	}
	return s.exchange(request)
}

func (s *server) tokenRequest(ctx context.Context, endpoint string, t target) (*http.Request, error) {
	r := tokenRequest{
		clientID: s.config.ClientID, issuer: s.config.Issuer, method: s.config.authMethod(), header: http.Header{},
		form: url.Values{"grant_type": {oauth.ClientCredentials}},
	}
	if t.scope != "" {
		r.form.Set("scope", t.scope)
	}
	if t.resource != "" {
		r.form.Set("resource", t.resource)
	}
	if err := s.config.Credential.attach(&r); err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(r.form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("token request: %w", err)
	}
	request.Header = r.header
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request, nil
}

// An errorBody is an answer without a token (RFC 6749, 5.2).
type errorBody struct {
	Code        oauth.Code `json:"error"`
	Description string     `json:"error_description"`
}

// errorBody returns what the server says is wrong, if it says so in the form that RFC 6749 gives it.
func (a *answer) errorBody() (errorBody, bool) {
	var body errorBody
	if a.mediaType != "application/json" || jose.DecodeObject(a.body, &body) != nil || body.Code == "" || a.status < 400 {
		return errorBody{}, false
	}
	return body, true
}

// code returns the error code of an answer without a token, or "".
func (a *answer) code() oauth.Code {
	body, _ := a.errorBody()
	return body.Code
}

// refusal turns an answer without a token into an error: an *oauth.Error if the server said why.
func (s *server) refusal(a *answer, t target) error {
	if a.status == http.StatusNotFound || a.status == http.StatusGone {
		s.discovery.forget()
	}
	body, said := a.errorBody()
	if !said {
		return a.unexpected("check that it is a token endpoint")
	}
	refused := oauth.Errorf(oauth.Code(oauth.SafeText(string(body.Code))), oauth.SafeText(body.Description))
	return a.judged(fmt.Errorf("%s answered %d: %w%s", a.address, a.status, refused, s.advice(refused.Code, t)))
}

// advice says what to look at next.
func (s *server) advice(code oauth.Code, t target) string {
	switch code {
	case oauth.InvalidClient:
		return fmt.Sprintf("; check that client %q exists, that %s, and that it is registered for %s",
			s.config.ClientID, s.doubt(), s.config.authMethod())
	case oauth.InvalidScope:
		return fmt.Sprintf("; check that the client has scope %q%s, or a default scope if none is asked for", t.scope, on(t.resource))
	case oauth.InvalidTarget:
		return fmt.Sprintf("; check that resource %q is registered, to the last slash, and that the client may ask for it", t.resource)
	case oauth.UnauthorizedClient, oauth.UnsupportedGrantType:
		return "; check that client and server both allow the client_credentials grant"
	case oauth.InvalidDPoPProof:
		if s.prover != nil {
			return fmt.Sprintf("; check this machine's clock, and that the server takes %s proofs for this very URL", s.prover.signer.Algorithm)
		}
	case oauth.UseDPoPNonce:
		if s.prover != nil {
			return "; the nonce that the server gives is not the one that it takes: check that its nodes agree"
		}
	case oauth.InvalidRequest:
		if s.prover == nil && s.certificate == nil {
			return "; if the client is registered for bound tokens, configure DPoP or Certificate"
		}
		return ""
	default:
		return ""
	}
	return "; the server wants a DPoP proof: configure DPoP"
}

// doubt says what can be wrong with a credential that was refused.
func (s *server) doubt() string {
	switch credential := s.config.Credential.(type) {
	case *Key:
		id := "the key"
		if signer, err := credential.signer(); err == nil {
			id = fmt.Sprintf("public key %q (%s)", oauth.SafeText(signer.KeyID), signer.Algorithm)
		}
		return id + " is registered, that this machine's clock is right, that the issuer is the one that the server names"
	case assertionFile:
		return "the server trusts who signs the assertion in " + credential.path + ", that it has not expired"
	case *Certificate:
		return "its certificate is the registered one and trusted"
	}
	return "its secret is current"
}

func on(resource string) string {
	if resource == "" {
		return ""
	}
	return fmt.Sprintf(" on resource %q", resource)
}
