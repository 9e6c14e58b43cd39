package server

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// Why nothing could be decided, and the request got 503.
const (
	causeInFlight   = "in_flight"  // as many requests as there may be are being answered
	causeSignatures = "signatures" // more tokens are asked for than can be signed soon
	causeHashes     = "hashes"     // more secrets came than can be hashed soon
	causeBodies     = "bodies"     // no memory for another body
	causeStore      = "store"
	causeJournal    = "journal"
	causeKeys       = "keys"
)

// Which limit of how often a request was above.
const (
	limitAddress = "address"
	limitClient  = "client"
)

var (
	labelLimit   = label{"limit", []string{limitAddress, limitClient, other}}
	labelDecider = label{"endpoint", []string{onToken, onAsk, onRevoke, onRotate, onRegister, other}}
	labelReason  = label{"reason", append(reasons(), other)}
	labelMethod  = label{"method", []string{
		oauth.ClientSecretBasic, oauth.ClientSecretPost, oauth.PrivateKeyJWT, oauth.TLSClientAuth, oauth.SelfSignedTLSClientAuth, other,
	}}
	labelResult  = label{"result", []string{authority.ResultActive, authority.ResultInactive, other}}
	labelRevoked = label{"result", []string{authority.ResultRevoked, authority.ResultUnchanged, other}}
	labelVisit   = label{"result", []string{"registered", "read", "updated", "deleted", other}}
	labelGrant   = label{"grant", []string{oauth.ClientCredentials, other}}
	labelFormat  = label{"format", []string{store.FormatJWT, store.FormatOpaque, other}}
	labelToken   = label{"algorithm", append(append([]string{keyring.Sealing}, jose.Algorithms...), other)}
	labelBinding = label{"binding", []string{authority.BoundToNothing, authority.BoundToKey, authority.BoundToCertificate, authority.BoundToBoth, other}}
	labelCause   = label{"cause", []string{causeStore, causeJournal, causeKeys, causeInFlight, causeSignatures, causeHashes, causeBodies, other}}
)

// decisionMetrics are of what the authority decided.
type decisionMetrics struct {
	issued, authenticated, refused, asked, revoked, visited, throttled, paced, unavailable *family
	repeated                                                                               prometheus.Counter
}

func newDecisionMetrics(m *metrics) *decisionMetrics {
	return &decisionMetrics{
		issued: m.family("writ_tokens_issued_total", "Tokens that were issued.",
			[]label{labelGrant, labelFormat, labelToken, labelBinding}, kindsOfToken()...),
		repeated: m.counter("writ_tokens_repeated_total", "Answers with a token that was issued before, to clients that are registered for that; they are counted among the issued ones as well."),
		authenticated: m.family("writ_client_authentications_total", "Clients that have authenticated, by method. Those that have not are among the refusals.",
			[]label{labelMethod}),
		refused: m.family("writ_requests_refused_total", "Requests that were refused, by the reason that the journal gives.",
			[]label{labelDecider, labelReason}),
		asked:   m.family("writ_introspections_total", "Introspections that were answered.", []label{labelResult}),
		revoked: m.family("writ_revocations_total", "Revocations that were answered; unchanged are those of tokens that were not good any more, or never ours.", []label{labelRevoked}),
		visited: m.family("writ_registrations_total", "What clients did that register themselves: registered, or read, updated or deleted what they had registered.", []label{labelVisit}),
		throttled: m.family("writ_requests_throttled_total", "Requests that got 429 because of too many failures before.",
			[]label{labelDecider}),
		paced: m.family("writ_requests_limited_total", "Requests that got 429 because the address or the client asked too often (limits.address_rate, limits.client_rate).",
			[]label{labelLimit}),
		unavailable: m.family("writ_requests_unavailable_total", "Requests that got 503, by what was missing: the store, the journal's disk, a key, a free slot (limits.in_flight), processors for all the signatures that are asked for or for slow hashes of secrets, memory for the body.",
			[]label{labelCause}),
	}
}

// kindsOfToken are the combinations that there can be: who seals, does not sign.
func kindsOfToken() []values {
	var kinds []values
	for _, grant := range labelGrant.values {
		for _, binding := range labelBinding.values {
			kinds = append(kinds, values{grant, store.FormatOpaque, keyring.Sealing, binding})
			for _, algorithm := range jose.Algorithms {
				kinds = append(kinds, values{grant, store.FormatJWT, algorithm, binding})
			}
		}
	}
	return kinds
}

// deciders are the endpoints that decide, by their paths.
var deciders = map[string]string{
	authority.PathToken: onToken, authority.PathIntrospect: onAsk, authority.PathRevoke: onRevoke, authority.PathSecret: onRotate,
	registry.PathRegister: onRegister,
}

// observe counts what came of a request at one of the endpoints that decide.
func (d *decisionMetrics) observe(path string, o authority.Outcome, err error) {
	if o.Method != "" {
		d.authenticated.inc(o.Method)
	}
	name := deciders[path]
	if err != nil {
		d.refuse(name, err)
		return
	}
	switch name {
	case onToken:
		d.issued.inc(o.Grant, o.Format, o.Algorithm, o.Binding)
		if o.Repeated {
			d.repeated.Inc()
		}
	case onAsk:
		d.asked.inc(o.Result)
	case onRevoke:
		d.revoked.inc(o.Result)
	case onRegister:
		d.visited.inc(o.Result)
	}
}

func (d *decisionMetrics) refuse(name string, err error) {
	d.refused.inc(name, authority.ReasonOf(err))
	busy, is := errors.AsType[*authority.Unavailable](err)
	if !is {
		return
	}
	switch busy.Fault {
	case authority.FaultRequests:
		d.paced.inc(limitClient)
	case authority.FaultFailures, authority.FaultRegistrations:
		d.throttled.inc(name)
	case authority.FaultHashes:
		d.unavailable.inc(causeHashes)
	case authority.FaultOurs:
		d.unavailable.inc(causeOf(err))
	}
}

func causeOf(err error) string {
	switch {
	case errors.Is(err, audit.ErrUnavailable):
		return causeJournal
	case errors.Is(err, keyring.ErrNoKey):
		return causeKeys
	}
	return causeStore
}

// full returns what counts a request that got 503 before anything could be decided.
func (d *decisionMetrics) full(cause string) func() {
	if d == nil {
		return func() {}
	}
	return func() { d.unavailable.inc(cause) }
}

// limited returns what counts a request that got 429 before anything could be decided.
func (d *decisionMetrics) limited(limit string) func() {
	if d == nil {
		return func() {}
	}
	return func() { d.paced.inc(limit) }
}

// reasons are the words that a refusal is explained with in the journal: those of authority and pop, and OAuth's codes. A test
// reads their source, so that none is missing.
func reasons() []string {
	return []string{
		"too_many_failures", "too_many_requests", "unavailable", "error",
		"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
		"invalid_target", "invalid_token", "insufficient_scope", "temporarily_unavailable", "server_error", "invalid_client_metadata",
		"invalid_dpop_proof", "use_dpop_nonce", "invalid_redirect_uri", "invalid_software_statement", "unapproved_software_statement",
		"no_registration_token", "unknown_initial_token", "initial_token_expired", "initial_token_used_up", "initial_token_network",
		"wrong_registration_token", "registration_suspended", "too_many_registrations",
		"unknown_client", "client_disabled", "wrong_method", "no_credentials", "other_client", "ambiguous_certificate",
		"wrong_secret", "secret_expired", "secret_not_yet_valid", "network", "may_not_rotate", "not_by_secret", "not_rotated",
		"unknown_key", "wrong_signature", "keys_unavailable", "replay",
		"assertion_malformed", "assertion_type", "assertion_issuer", "assertion_audience", "assertion_expired", "assertion_lifetime",
		"assertion_early", "assertion_old", "assertion_id", "assertion_algorithm",
		"other_certificate", "no_trust", "certificate_untrusted", "certificate_expired", "certificate_usage",
		"certificate_of_an_authority", "certificate_revoked", "revocations_out_of_date",
		"no_proof", "many_proofs", "no_nonce", "wrong_nonce", "replayed_proof", "no_certificate", "not_sender_constrained",
		"malformed_proof", "wrong_proof_type", "wrong_proof_signature", "wrong_proof_algorithm", "wrong_proof_method",
		"wrong_proof_url", "stale_proof", "early_proof", "wrong_proof_token",
	}
}
