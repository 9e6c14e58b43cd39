package resource

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"

	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/oauth"
)

// The headers of RFC 9449, 4.1 and 8.
const (
	proofHeader = "DPoP"
	nonceHeader = "DPoP-Nonce"
)

const minNonceKeyBytes = 32

func newNonces(config Config) (*pop.Nonces, error) {
	key := []byte(config.NonceKey)
	if len(key) == 0 {
		key = make([]byte, minNonceKeyBytes)
		rand.Read(key) // never fails (crypto/rand)
	}
	return pop.NewNonces(key, config.Now)
}

// oneProof returns an error for a request of the scheme DPoP that has not exactly one proof (RFC 9449, 4.3, step 1),
// before anything is paid for its token. With another scheme the header means nothing.
func oneProof(r *http.Request, scheme string) error {
	if scheme != oauth.DPoP {
		return nil
	}
	switch len(r.Header.Values(proofHeader)) {
	case 0:
		return errNoProof
	case 1:
		return nil
	}
	return errTwoProofs
}

// checkProof checks the DPoP proof of a request (RFC 9449, 4.3) whose token is bound to a key. The proof is remembered
// only when all else is good: one that somebody else has spoilt on its way must not cost the client its jti.
func (v *Verifier) checkProof(r *http.Request, token, key string) (*pop.Proof, error) {
	proof, err := pop.ParseProof(r.Header.Get(proofHeader))
	if err != nil {
		return nil, badProof(err)
	}
	if proof.Thumbprint != key {
		return nil, errWrongKey
	}
	request := pop.Request{
		Method: r.Method, URL: v.urlOf(r), AccessToken: token, Now: v.now(), Algorithms: v.dpopAlgorithms,
	}
	if err := proof.Check(request); err != nil {
		return nil, badProof(err)
	}
	if v.nonces != nil && !v.nonces.Good(proof.Nonce) {
		return nil, errNonce
	}
	return proof, v.useOnce(r.Context(), proof)
}

// badProof says what is wrong with a proof, in words that repeat nothing of it.
func badProof(err error) error {
	description := "the DPoP proof is not good"
	if fault, ok := errors.AsType[*pop.Fault](err); ok {
		description = fault.Description
	}
	return oauth.Errorf(oauth.InvalidDPoPProof, description)
}

// useOnce remembers a proof, and refuses it if it was used before. Who cannot remember does not know.
func (v *Verifier) useOnce(ctx context.Context, proof *pop.Proof) error {
	ctx, cancel := context.WithTimeoutCause(ctx, waitTimeout, errSlowReplays)
	defer cancel()
	err := v.replays.UseOnce(ctx, proof.ReplayID(), proof.Until())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrReplayed):
		return errReplay
	}
	return unavailable(0, err)
}

// urlOf returns the URL that the caller of a request used. Only its path comes from the request, as it came over the
// wire: what a router stripped from r.URL the caller did sign. Host and X-Forwarded-Host are the caller's to write, and
// with them a proof that was made for one API would be good at another.
func (v *Verifier) urlOf(r *http.Request) string {
	u := r.URL
	if r.RequestURI != "" {
		if sent, err := url.ParseRequestURI(r.RequestURI); err == nil {
			u = sent
		}
	}
	return v.external + u.EscapedPath()
}

// renewNonce gives a client the next nonce with an answer that it gets anyway (RFC 9449, 8.2), so that it need not be
// refused for it. An answer with a nonce must not be served from a cache.
func (v *Verifier) renewNonce(w http.ResponseWriter, proof *pop.Proof) {
	if v.nonces == nil || proof == nil {
		return
	}
	if nonce := v.nonces.Current(); nonce != proof.Nonce {
		w.Header().Set(nonceHeader, nonce)
		w.Header().Set("Cache-Control", "no-store")
	}
}
