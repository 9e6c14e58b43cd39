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

// requestToken makes one token request (RFC 6749, 4.4.2).
func (s *server) requestToken(ctx context.Context, endpoint string, t target) (*Token, error) {
	request, err := s.tokenRequest(ctx, endpoint, t)
	if err != nil {
		return nil, err
	}
	asked := time.Now() // a token's life is counted from here: it can only be longer
	answer, err := s.exchange(request)
	if err != nil {
		return nil, err
	}
	if answer.status != http.StatusOK {
		return nil, s.refusal(answer, t)
	}
	token, err := parseToken(answer, t.scope, asked)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", answer.address, err)
	}
	return token, nil
}

func (s *server) tokenRequest(ctx context.Context, endpoint string, t target) (*http.Request, error) {
	r := tokenRequest{
		clientID: s.config.ClientID, method: s.config.authMethod(), header: http.Header{},
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

// refusal turns an answer without a token into an error: an *oauth.Error if the server said why (RFC 6749, 5.2).
func (s *server) refusal(a *answer, t target) error {
	if a.status == http.StatusNotFound || a.status == http.StatusGone {
		s.discovery.forget()
	}
	var body struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if a.mediaType != "application/json" || jose.DecodeObject(a.body, &body) != nil || body.Code == "" || a.status < 400 {
		return a.unexpected("check that it is a token endpoint")
	}
	refused := oauth.Errorf(oauth.Code(oauth.SafeText(body.Code)), oauth.SafeText(body.Description))
	return a.judged(fmt.Errorf("%s answered %d: %w%s", a.address, a.status, refused, s.advice(refused.Code, t)))
}

// advice says what to look at next.
func (s *server) advice(code oauth.Code, t target) string {
	switch code {
	case oauth.InvalidClient:
		return fmt.Sprintf("; check that client %q exists, that its secret is current, and that it is registered for %s",
			s.config.ClientID, s.config.authMethod())
	case oauth.InvalidScope:
		return fmt.Sprintf("; check that the client has scope %q%s, or a default scope if none is asked for", t.scope, on(t.resource))
	case oauth.InvalidTarget:
		return fmt.Sprintf("; check that resource %q is registered, to the last slash, and that the client may ask for it", t.resource)
	case oauth.UnauthorizedClient, oauth.UnsupportedGrantType:
		return "; check that client and server both allow the client_credentials grant"
	}
	return ""
}

func on(resource string) string {
	if resource == "" {
		return ""
	}
	return fmt.Sprintf(" on resource %q", resource)
}
