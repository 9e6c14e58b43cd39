package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/writ-auth/writ/oauth"
)

// What to believe about a token's life (Token.Expires).
const (
	// DefaultLifetime is how long a token is used whose issuer does not say how long it lives, or says nonsense: less
	// than a second, or something that is not a number. It is short, because nothing is known.
	DefaultLifetime = time.Minute

	// MaxLifetime bounds what an issuer can claim: a number that overflows must not make a token immortal.
	MaxLifetime = 24 * time.Hour
)

// parseToken reads a token response (RFC 6749, 5.1). Members that it does not know are ignored, a refresh token with
// them: this grant has none.
func parseToken(a *answer, tokenType, requested string, asked time.Time) (*Token, error) {
	var response struct {
		AccessToken string          `json:"access_token"`
		TokenType   string          `json:"token_type"`
		ExpiresIn   json.RawMessage `json:"expires_in"`
		Scope       *string         `json:"scope"`
	}
	if err := a.decode(&response); err != nil {
		return nil, err
	}
	if err := checkType(response.TokenType, tokenType); err != nil {
		return nil, err
	}
	if !isBearerToken(response.AccessToken) { // a DPoP token is a token68 as well (RFC 9449, 7.1)
		return nil, errors.New("access_token is missing or has a character that no token has")
	}
	granted := requested // an absent scope means: as requested
	if response.Scope != nil {
		granted = *response.Scope
	}
	scope, err := oauth.ParseScope(granted)
	if err != nil {
		return nil, fmt.Errorf("granted scope: %w", err)
	}
	value := response.AccessToken
	return &Token{
		value: func() string { return value }, Type: tokenType, Scope: scope, Expires: asked.Add(lifetime(string(response.ExpiresIn))),
	}, nil
}

// checkType reports whether the issuer gave the type of token that was asked for; the case does not count (RFC 6749, 5.1).
// A bearer token where one was to be bound is never taken: it would be used without the protection that was configured.
func checkType(given, asked string) error {
	text := oauth.SafeText(given)
	switch {
	case strings.EqualFold(given, asked):
		return nil
	case asked == oauth.DPoP && strings.EqualFold(given, oauth.Bearer):
		return fmt.Errorf("token_type is %q although a DPoP proof was sent: the token is not bound to the key, and is not used; "+
			"check that the server supports DPoP, or take DPoP out of the client's configuration", text)
	case asked == oauth.DPoP:
		return fmt.Errorf("token_type is %q; this client can only use DPoP", text)
	case strings.EqualFold(given, oauth.DPoP):
		return fmt.Errorf("token_type is %q; this client can only use Bearer, unless DPoP is in its configuration", text)
	}
	return fmt.Errorf("token_type is %q; this client can only use Bearer", text)
}

// lifetime reads expires_in: seconds, as a JSON number.
func lifetime(expiresIn string) time.Duration {
	seconds, err := strconv.ParseFloat(expiresIn, 64) // a JSON string stands in quotes and is no number here
	switch {
	case err != nil || !(seconds >= 1):
		return DefaultLifetime
	case seconds >= MaxLifetime.Seconds():
		return MaxLifetime
	}
	return time.Duration(seconds * float64(time.Second))
}

// isBearerToken reports whether s is a b64token (RFC 6750, 2.1): the only text that may stand behind "Bearer" in a
// header.
func isBearerToken(s string) bool {
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		if !isToken68Char(body[i]) {
			return false
		}
	}
	return body != ""
}
