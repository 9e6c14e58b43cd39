package authority

import (
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
)

// An Outcome says what came of a Request, in words of this program: nothing in it is what a caller sent, so that it may be
// counted by. The Authority fills it in while it decides; what was not decided is "".
type Outcome struct {
	Method string // the client authentication method by which the client proved itself
	Result string // ResultActive and so on, of introspection and revocation

	Grant, Format, Algorithm, Binding string // of the token that was issued; an opaque one is sealed with keyring.Sealing
	Repeated                          bool   // the same token was issued before
}

// Results of introspection and revocation.
const (
	ResultActive    = "active"
	ResultInactive  = "inactive"
	ResultRevoked   = "revoked"
	ResultUnchanged = "unchanged" // the token was not good any more, or never ours
)

// What a token can be bound to.
const (
	BoundToNothing     = "none"
	BoundToKey         = "dpop"
	BoundToCertificate = "certificate"
	BoundToBoth        = "dpop_and_certificate"
)

func (o *Outcome) issued(authorization *Authorization) {
	o.Format, o.Algorithm, o.Binding = authorization.Format, authorization.Algorithm, bindingOf(authorization.Confirmation)
	if o.Format == store.FormatOpaque {
		o.Algorithm = keyring.Sealing
	}
}

func bindingOf(c *pop.Confirmation) string {
	switch {
	case c == nil:
		return BoundToNothing
	case c.Key == "":
		return BoundToCertificate
	case c.Certificate == "":
		return BoundToKey
	}
	return BoundToBoth
}

// ReasonOf returns the fixed word that says why a request was refused, as it stands in the journal.
func ReasonOf(err error) string { return reasonOf(err) }
