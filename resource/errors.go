package resource

import (
	"errors"
	"fmt"
	"time"

	"github.com/writ-auth/writ/oauth"
)

// ErrNoToken is the reason for refusing a request that carries no access token where RFC 6750, 2.1 puts it.
var ErrNoToken = errors.New("resource: the request carries no access token")

// ErrBound is in the error of Verify for a token that is good and bound to a key: it may be used by a caller who proves
// to hold that key, which Verify cannot see. Behind Require it never occurs.
var ErrBound = errors.New("resource: the token is bound to a key")

// An UnavailableError says that a token could not be judged: its issuer did not answer and nothing remembered helps, or
// the ReplayStore cannot tell whether a proof is new.
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
	errBound      = invalidToken("the token is bound to a key in a way that this API cannot check")
	errOpaque     = invalidToken("opaque tokens are not accepted here")
	errInactive   = invalidToken("the token is not active")
)

// The reasons for refusing a token because of the key that it is bound to, or is not.
var (
	errUnbound    = invalidToken("the token is not bound to a key of its client, and this API takes no others")
	errNoKey      = invalidToken("the token is not bound to a DPoP key, and cannot be sent with the scheme DPoP")
	errNeedsDPoP  = invalidToken("the token is not bound to a DPoP key, and this API takes no others")
	errDowngraded = invalidToken("the token is bound to a DPoP key: send it with the scheme DPoP and a proof")
	errWrongKey   = invalidToken("the token is bound to another key than the DPoP proof's")
	errUnproved   = invalidToken("the token is bound to a key, and nothing proves that the caller holds it")
	errNoShow     = invalidToken("the token is bound to a certificate, and the client showed none")
	errWrongShow  = invalidToken("the token is bound to another certificate than the client's")
	errUnreadable = invalidToken("the token is bound to a certificate, and the client's could not be read")
	errMistyped   = invalidToken("the token's type does not fit the key that it is bound to")
)

// The reasons for refusing a DPoP proof that package pop does not know (RFC 9449, 4.3, steps 1, 10 and 11.1).
var (
	errNoProof   = oauth.Errorf(oauth.InvalidDPoPProof, "the request has no DPoP header")
	errTwoProofs = oauth.Errorf(oauth.InvalidDPoPProof, "the request has more than one DPoP header")
	errReplay    = oauth.Errorf(oauth.InvalidDPoPProof, "the DPoP proof was used before; make one for each request")
	errNonce     = oauth.Errorf(oauth.UseDPoPNonce, "put the nonce of the DPoP-Nonce header into the DPoP proof")
)

func invalidToken(description string) *oauth.Error {
	return oauth.Errorf(oauth.InvalidToken, description)
}
