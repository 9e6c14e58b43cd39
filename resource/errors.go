package resource

import (
	"errors"
	"fmt"
	"time"

	"github.com/writ-auth/writ/oauth"
)

// ErrNoToken is the reason for refusing a request that carries no access token where RFC 6750, 2.1 puts it.
var ErrNoToken = errors.New("resource: the request carries no access token")

// An UnavailableError says that a token could not be judged: its issuer did not answer and nothing remembered helps.
// The token is not accepted; the same request may succeed later. errors.Is(err, oauth.TemporarilyUnavailable) holds.
type UnavailableError struct {
	RetryAfter time.Duration // when to try again, at least a second
	Cause      error         // for the log
}

func unavailable(after time.Duration, cause error) *UnavailableError {
	return &UnavailableError{RetryAfter: max(after, time.Second), Cause: cause}
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("resource: the token cannot be judged now: %v", e.Cause)
}

// Unwrap returns the code that goes with the error, and its cause.
func (e *UnavailableError) Unwrap() []error { return []error{oauth.TemporarilyUnavailable, e.Cause} }

// The reasons for refusing a token. They are fixed text: nothing that came with the request returns in a header.
var (
	errTooLarge   = invalidToken("the token is larger than 16 KiB")
	errMalformed  = invalidToken("the token is malformed")
	errType       = invalidToken("the token is not an access token (typ at+jwt)")
	errAlgorithm  = invalidToken("the token is signed with an algorithm that is not accepted")
	errSignature  = invalidToken("the token's signature could not be verified")
	errIssuer     = invalidToken("the token is from another issuer")
	errAudience   = invalidToken("the token is for another audience")
	errAudiences  = invalidToken("the token is for other audiences as well")
	errExpired    = invalidToken("the token has expired")
	errNotYet     = invalidToken("the token is not valid yet")
	errIncomplete = invalidToken("the token lacks a required claim")
	errUnsafeName = invalidToken("the token has a name with characters that are not allowed")
	errScope      = invalidToken("the token's scope is malformed")
	errBound      = invalidToken("the token is bound to a key and this API cannot check the proof")
	errOpaque     = invalidToken("opaque tokens are not accepted here")
	errInactive   = invalidToken("the token is not active")
)

func invalidToken(description string) *oauth.Error {
	return oauth.Errorf(oauth.InvalidToken, description)
}
