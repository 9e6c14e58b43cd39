package client

import (
	"io"
	"net/http"
	"strings"

	"github.com/writ-auth/writ/oauth"
)

// A Transport is an http.RoundTripper that sends a token of Source with each request, and whatever the token needs: a DPoP
// proof, the certificate that it is bound to. It is safe for concurrent use.
//
// The token goes to URLs under the Source's resource (same scheme, host and port, and path at or below) and to the hosts
// of Config.AllowHosts; over https, or over http on loopback. Any other request is an error, before anything is sent. A
// redirect that leads elsewhere is followed without the token, as the standard library does with credentials of its own.
//
// An API that answers 401 to a token gets the request once more with a new token, if the body can be sent again
// (http.Request.GetBody): the old one may be revoked. One that wants a nonce in the proof (use_dpop_nonce) gets it once
// more with the nonce. If that does not help, or no new token can be had, the 401 is the answer. A 403 is never tried
// again, and no further scope is asked for by itself: ask for it with Source.With.
type Transport struct {
	Source *Source

	// Base carries the requests. Nil means Config.HTTPClient's Transport, with the certificate that the token is bound
	// to. What presents a certificate and is to be wrapped, for tracing say, is the Base of Source.Client's Transport; the
	// wrapper hands on the request's context.
	Base http.RoundTripper
}

// RoundTrip implements http.RoundTripper. It does not change r; Authorization and DPoP headers that r has are replaced in
// what is sent.
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
	response, err := t.deliver(r, token)
	if err != nil || !refused(response, token.Type) || !replayable(r) || !t.Source.Invalidate(token) {
		return response, err
	}
	token, err = t.Source.Token(r.Context())
	if err != nil {
		return response, nil //nolint:nilerr // the API's answer tells more than the issuer's
	}
	again, err := rewound(r)
	if err != nil {
		return response, nil //nolint:nilerr // as above
	}
	discard(response)
	return t.deliver(again, token)
}

// CloseIdleConnections closes the connections that nobody uses, if Base can: http.Client calls it.
func (t *Transport) CloseIdleConnections() {
	if closer, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// deliver sends r with token, and once more if the API wants a nonce in the proof.
func (t *Transport) deliver(r *http.Request, token *Token) (*http.Response, error) {
	response, wanted, err := t.send(r, token)
	if err != nil || !wanted || !replayable(r) {
		return response, err
	}
	again, err := rewound(r)
	if err != nil {
		return response, nil //nolint:nilerr // the API's answer tells more
	}
	discard(response)
	response, _, err = t.send(again, token)
	return response, err
}

// send sends r with token, and reports whether the API wants it again with a nonce.
func (t *Transport) send(r *http.Request, token *Token) (response *http.Response, wanted bool, err error) {
	clone := r.Clone(token.over(r.Context()))
	clone.Header.Del("DPoP")
	if err := token.Authorize(clone); err != nil {
		closeBody(r)
		return nil, false, err
	}
	response, err = t.base().RoundTrip(clone)
	if err != nil {
		return response, false, err
	}
	if response.Request == nil {
		response.Request = clone // a Base that does not say what it answers
	}
	return response, token.Learn(response), nil
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return carrier{t.Source.server}
}

// refused reports whether the API answered that the token is not valid. Other errors of RFC 6750, RFC 9449 and RFC 9470
// are not cured by another token of the same kind, and trying would be a loop. A 401 that names no scheme is taken for one
// about the token that it answers.
func refused(response *http.Response, tokenType string) bool {
	if response.StatusCode != http.StatusUnauthorized {
		return false
	}
	return challenged(response, tokenType, oauth.InvalidToken) || len(ParseChallenges(response.Header)) == 0
}

// challenged reports whether the first challenge of the scheme is for this reason. One that names none means that the
// token is not valid.
func challenged(response *http.Response, scheme string, code oauth.Code) bool {
	for _, challenge := range ParseChallenges(response.Header) {
		if strings.EqualFold(challenge.Scheme, scheme) {
			given := challenge.Parameters["error"]
			return given == string(code) || given == "" && code == oauth.InvalidToken
		}
	}
	return false
}

// rewound returns r with a body that is read from its start.
func rewound(r *http.Request) (*http.Request, error) {
	if r.GetBody == nil {
		return r, nil
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	again := r.WithContext(r.Context())
	again.Body = body
	return again, nil
}

// discard is done with an answer. The connection can be used again only when the answer is read; one that is long is not
// worth it.
func discard(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, 4<<10)
	_ = response.Body.Close()
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
