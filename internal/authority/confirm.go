package authority

import (
	"context"
	"errors"

	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// The reasons that the operator sees when a token could not be bound. What was wrong with a proof itself has its own
// words (pop.Fault).
const (
	reasonNoProof       reason = "no_proof"
	reasonManyProofs    reason = "many_proofs"
	reasonNoNonce       reason = "no_nonce"
	reasonWrongNonce    reason = "wrong_nonce"
	reasonReplayedProof reason = "replayed_proof"
	reasonNoCertificate reason = "no_certificate"
	reasonNotBound      reason = "not_sender_constrained"
)

// confirm returns the keys that a client's token will be bound to, or nil for a bearer token. A proof that was sent
// counts, whether or not the client must send one; a certificate only if the client is registered for that (RFC 8705, 3),
// as a connection may show one to anybody. Where both do, the token is bound to both: never to less than was asked for.
func (a *Authority) confirm(ctx context.Context, r *Request, client *client) (*pop.Confirmation, error) {
	var bound pop.Confirmation
	if client.CertificateBound {
		if len(r.Certificates) == 0 {
			return nil, oauth.Errorf(oauth.InvalidRequest,
				"this client's tokens are bound to its certificate: use the mTLS endpoint and show it").Because(reasonNoCertificate)
		}
		bound.Certificate = pop.CertificateThumbprint(r.Certificates[0])
	}
	switch {
	case len(r.DPoP) > 0:
		proof, err := a.proof(r)
		if err != nil {
			return nil, err
		}
		if err := a.useProof(ctx, proof); err != nil {
			return nil, err
		}
		bound.Key = proof.Thumbprint
	case client.DPoPBound:
		return nil, oauth.Errorf(oauth.InvalidRequest,
			"this client's tokens are bound to a key: send a DPoP proof").Because(reasonNoProof)
	}
	if bound != (pop.Confirmation{}) {
		return new(bound), nil
	}
	if a.profile.SenderConstrained {
		return nil, oauth.Errorf(oauth.InvalidRequest,
			"this server issues no bearer tokens: send a DPoP proof, or have the client registered for certificate-bound tokens").Because(reasonNotBound)
	}
	return nil, nil
}

// proof returns the DPoP proof of a request if it is good for that, apart from whether it was used before (RFC 9449, 4.3).
// "ath" has no meaning here: the token does not exist yet.
func (a *Authority) proof(r *Request) (*pop.Proof, error) {
	if len(r.DPoP) > 1 {
		return nil, oauth.Errorf(oauth.InvalidDPoPProof, "there is more than one DPoP header").Because(reasonManyProofs)
	}
	proof, err := pop.ParseProof(r.DPoP[0])
	if err == nil {
		err = proof.Check(pop.Request{Method: "POST", URL: r.URL, Now: a.now(), Algorithms: a.profile.Algorithms})
	}
	if fault, bad := errors.AsType[*pop.Fault](err); bad {
		return nil, oauth.Errorf(oauth.InvalidDPoPProof, fault.Description).Because(reason(fault.Word))
	}
	if a.nonces == nil || a.nonces.Good(proof.Nonce) {
		return proof, nil
	}
	why := reasonWrongNonce
	if proof.Nonce == "" {
		why = reasonNoNonce
	}
	return nil, oauth.Errorf(oauth.UseDPoPNonce, "the DPoP proof must have the nonce of the DPoP-Nonce header").Because(why)
}

// useProof lets a proof through once, on whatever node it arrives. It comes after every other look at the proof, so that
// nothing which would be refused anyway is remembered. When the store cannot say, nobody can: a proof that may have been
// used is not good (CVE-2020-15223).
func (a *Authority) useProof(ctx context.Context, proof *pop.Proof) error {
	asking, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	err := a.store.UseOnce(asking, "dpop:"+proof.ReplayID(), proof.Until().UTC())
	if errors.Is(err, store.ErrExists) {
		return oauth.Errorf(oauth.InvalidDPoPProof, "the DPoP proof was used before; make one for each request").Because(reasonReplayedProof)
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// Nonce returns what the next DPoP proof must hold, or "" if none is asked for (RFC 9449, 8).
func (a *Authority) Nonce() string {
	if a.nonces == nil {
		return ""
	}
	return a.nonces.Current()
}
