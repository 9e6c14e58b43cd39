package authority

import "time"

// A Visitor is whoever comes to the registration endpoint (RFC 7591, 7592). Package registry decides about registrations; who
// comes too often, and why one was refused, is kept as of every other request.
type Visitor struct {
	ClientID  string // that the URL names; "" for one who registers
	Remote    string
	RequestID string
	Presented []string // what else is known of the request, "name: value" each; nothing of a token
}

// DefaultRegistrations bears 60 requests at once, of an address and of an initial access token, and then one a second.
var DefaultRegistrations = RegistrationsAMinute(60)

// RegistrationsAMinute bears so many requests at once, and then as many each minute.
func RegistrationsAMinute(n int) Throttle {
	return Throttle{Burst: n, Interval: time.Minute / time.Duration(n)}
}

// registrar is for whom wrong tokens are counted: no client has such an ID.
const registrar = "(registration)"

const eventNotRegistered = "registration.refused"

// The words of registrations that were refused. registry says which.
const (
	reasonNoRegistrationToken    reason = "no_registration_token"
	reasonUnknownInitialToken    reason = "unknown_initial_token"
	reasonInitialTokenExpired    reason = "initial_token_expired"
	reasonInitialTokenUsedUp     reason = "initial_token_used_up"
	reasonInitialTokenNetwork    reason = "initial_token_network"
	reasonWrongRegistrationToken reason = "wrong_registration_token"
	reasonRegistrationSuspended  reason = "registration_suspended"
	reasonTooManyRegistrations   reason = "too_many_registrations"
	reasonMetadata               reason = "invalid_client_metadata"
	reasonRedirectURI            reason = "invalid_redirect_uri"
	reasonStatement              reason = "invalid_software_statement"
	reasonUnapproved             reason = "unapproved_software_statement"
)

// NoRegistrationToken is why somebody is refused who presents no token at all.
const NoRegistrationToken = string(reasonNoRegistrationToken)

// AdmitVisitor counts a request to the registration endpoint. An error means that its address sent too many, or too many wrong
// tokens.
func (a *Authority) AdmitVisitor(v Visitor) error {
	if err := a.failures.check(registrar, v.Remote); err != nil {
		return err
	}
	return a.visit("", v.Remote)
}

// AdmitInitialToken counts a registration with an initial access token, wherever it comes from: one that leaked must not fill
// the store.
func (a *Authority) AdmitInitialToken(id string) error { return a.visit(id, "") }

func (a *Authority) visit(who, remote string) error {
	wait := a.visits.take(who, remote)
	if wait <= 0 {
		return nil
	}
	return &Unavailable{RetryAfter: wait, Fault: FaultRegistrations}
}

// RefuseVisitor puts down why a registration was refused, in a fixed word, "" if the error says it itself, and hands it on with
// its ID. guessing says that a token was presented that is none of ours.
func (a *Authority) RefuseVisitor(v Visitor, why string, guessing bool, err error) error {
	if guessing {
		a.failures.add(registrar, v.Remote)
	}
	if why != "" {
		err = told{err, reason(why)}
	}
	r := Request{ID: v.RequestID, Remote: v.Remote} // whose facts are not those of a token request
	var facts []string
	for _, fact := range v.Presented {
		facts = append(facts, r.clean(fact))
	}
	return a.putDown(eventNotRegistered, &r, identifier(v.ClientID), facts, err)
}

// told is an error with a reason.
type told struct {
	error
	why reason
}

func (e told) Unwrap() []error { return []error{e.error, e.why} }
