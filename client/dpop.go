package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
)

// Bounds on what servers can make a prover remember.
const (
	maxNonceBytes = 512
	maxAudiences  = 1024
)

// A prover makes DPoP proofs (RFC 9449) with one key, and remembers which nonce each server asked for last. It is safe
// for concurrent use.
type prover struct {
	signer *jose.Signer

	mu     sync.Mutex
	nonces map[audience]string // guarded by mu
}

// An audience is who judges a proof. An issuer and an API at one origin have nonces of their own (RFC 9449, 8 and 9).
type audience struct {
	issuer bool
	origin string
}

// newProver returns a prover with the configured key, or with one that is made now and never leaves the process.
func newProver(configured *Key) (*prover, error) {
	if configured == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("DPoP key: %w", err)
		}
		configured = PrivateKey(key)
	}
	signer, err := configured.signer()
	if err != nil {
		return nil, err
	}
	return &prover{signer: signer, nonces: map[audience]string{}}, nil
}

// prove puts a new proof onto r: to an API if there is an access token, else to the issuer.
func (p *prover) prove(r *http.Request, accessToken string) error {
	proof, err := pop.NewProof(p.signer, pop.Request{
		Method: method(r), URL: targetURI(r), AccessToken: accessToken, Now: time.Now(),
	}, p.nonce(audienceOf(r.URL, accessToken == "")))
	if err != nil {
		return err
	}
	r.Header.Set("DPoP", proof)
	return nil
}

func (p *prover) nonce(a audience) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nonces[a]
}

// learn keeps the nonce that an answer brings, whatever its status (RFC 9449, 8.2), and reports whether it brings one.
func (p *prover) learn(a audience, answer http.Header) bool {
	values := answer.Values("DPoP-Nonce")
	if len(values) != 1 || !isNonce(values[0]) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.nonces[a]; !known && len(p.nonces) >= maxAudiences {
		clear(p.nonces) // who forgets a nonce is told it again
	}
	p.nonces[a] = values[0]
	return true
}

// isNonce reports whether s is a nonce (RFC 9449, 8.1): what can stand in a header without quotes and escapes.
func isNonce(s string) bool {
	strange := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
	return s != "" && len(s) <= maxNonceBytes && !strings.ContainsFunc(s, strange)
}

func audienceOf(u *url.URL, issuer bool) audience {
	return audience{issuer: issuer, origin: u.Scheme + "://" + hostPort(u)}
}

// targetURI returns the URI that r asks for, as the server sees it (RFC 9110, 7.1), without query and fragment: "htu".
func targetURI(r *http.Request) string {
	host, path := r.Host, r.URL.EscapedPath()
	if host == "" {
		host = r.URL.Host
	}
	if path == "" {
		path = "/" // what stands on the wire; not every server takes the one for the other
	}
	return r.URL.Scheme + "://" + host + path
}

func method(r *http.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}
