package resource

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/oauth"
)

// configureBinding takes over what the Config says about tokens that are bound to keys.
func (v *Verifier) configureBinding(config Config) error {
	v.external = config.ExternalURL
	v.schemes = []string{oauth.Bearer}
	if v.external != "" {
		v.schemes = append(v.schemes, oauth.DPoP)
	}
	v.requireBound, v.requireDPoP = config.RequireBound || config.RequireDPoP, config.RequireDPoP
	v.dpopAlgorithms = slices.Clone(config.DPoPAlgorithms)
	v.replays = config.Replays
	v.certificate = config.ClientCertificate
	if v.certificate == nil {
		v.certificate = TLSCertificate
	}
	if !config.RequireNonce && config.NonceKey == "" {
		return nil
	}
	var err error
	v.nonces, err = newNonces(config)
	return err
}

// enforceable reports whether everything that a "cnf" claim asks for can be checked here. Half of a binding is none, so
// that a token with a member nobody knows is refused, and not taken for one without it (RFC 7800, 3.1).
func (v *Verifier) enforceable(claim json.RawMessage) bool {
	bound, err := pop.ParseConfirmation(claim)
	return err == nil && (bound == nil || bound.Key == "" || v.external != "")
}

// prove returns nil if the request proves that its sender holds every key that its token is bound to, and the DPoP proof
// if there had to be one. The scheme must say the same as the token: a stolen token that is bound to a key must not pass
// as a bearer token (RFC 9449, 7.2), and a proof beside a token that is not bound proves nothing.
func (v *Verifier) prove(r *http.Request, given credentials, bound *pop.Confirmation) (*pop.Proof, error) {
	keyed := bound != nil && bound.Key != ""
	switch {
	case keyed && given.scheme != oauth.DPoP:
		return nil, errDowngraded
	case !keyed && v.requireDPoP:
		return nil, errNeedsDPoP
	case bound == nil && v.requireBound:
		return nil, errUnbound
	case !keyed && given.scheme == oauth.DPoP:
		return nil, errNoKey
	case bound == nil:
		return nil, nil
	}
	if bound.Certificate != "" {
		if err := v.checkCertificate(r, bound.Certificate); err != nil {
			return nil, err
		}
	}
	if !keyed {
		return nil, nil
	}
	return v.checkProof(r, given.token, bound.Key) // last, because it uses the proof up
}
