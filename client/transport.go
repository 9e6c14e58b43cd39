package client

import (
	"io"
	"net/http"

	"github.com/writ-auth/writ/oauth"
)

// A Transport is an http.RoundTripper that sends a token of Source with each request. It is safe for concurrent use.
//
// The token goes to URLs under the Source's resource (same scheme, host and port, and path at or below) and to the hosts
// of Config.AllowHosts; over https, or over http on loopback. Any other request is an error, before anything is sent. A
// redirect that leads elsewhere is followed without the token, as the standard library does with credentials of its own.
//
// An API that answers 401 to a Bearer token gets the request once more with a new token, if the body can be sent again
// (http.Request.GetBody): the old one may be revoked. If that does not help, or no new token can be had, the 401 is the
// answer. A 403 is never tried again, and no further scope is asked for by itself: ask for it with Source.With.
type Transport struct {
	Source *Source
	Base   http.RoundTripper // nil means http.DefaultTransport
}

// RoundTrip implements http.RoundTripper. It does not change r; an Authorization header that r has is replaced in what
// is sent.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkPlace(r.URL, t.Source.places); err != nil {
		if r.Response != nil { // the response that redirected here
			return t.base().RoundTrip(r)
		}
		closeBody(r)
		return nil, err
	}
	token, err := t.Source.Token(r.Context())
	if err != nil {
		closeBody(r)
		return nil, err
	}
	response, err := t.base().RoundTrip(withToken(r, token))
	if err != nil || !refused(response) || !replayable(r) || !t.Source.Invalidate(token) {
		return response, err
	}
	return t.again(r, response)
}

// again sends r with a new token. If there is none, refusal remains the answer.
func (t *Transport) again(r *http.Request, refusal *http.Response) (*http.Response, error) {
	token, err := t.Source.Token(r.Context())
	if err != nil {
		return refusal, nil //nolint:nilerr // the API's answer tells more than the issuer's
	}
	second := withToken(r, token)
	if r.GetBody != nil {
		if second.Body, err = r.GetBody(); err != nil {
			return refusal, nil //nolint:nilerr // as above
		}
	}
	// The connection can be used again only when the answer is read; one that is long is not worth it.
	_, _ = io.CopyN(io.Discard, refusal.Body, 4<<10)
	_ = refusal.Body.Close()
	return t.base().RoundTrip(second)
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}

func withToken(r *http.Request, token *Token) *http.Request {
	clone := r.Clone(r.Context())
	clone.Header.Set("Authorization", token.Type+" "+token.AccessToken())
	return clone
}

// refused reports whether the API answered that the token is not valid. Other errors of RFC 6750 and RFC 9470 are not
// cured by another token of the same kind, and trying would be a loop. A 401 that names no scheme is taken for one about
// the token that it answers.
func refused(response *http.Response) bool {
	if response.StatusCode != http.StatusUnauthorized {
		return false
	}
	challenges := ParseChallenges(response.Header)
	for _, challenge := range challenges {
		if challenge.Scheme == "bearer" {
			code := challenge.Parameters["error"]
			return code == "" || code == string(oauth.InvalidToken)
		}
	}
	return len(challenges) == 0
}

func replayable(r *http.Request) bool {
	return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
}

// closeBody closes the body of a request that is not sent, as http.RoundTripper promises.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
