// Package authority is the core: it decides who gets which token, whether a token is still good, and who may hear about
// it. It knows no HTTP and no SQL, and writes no configuration; endpoint translates for it, registry changes what it
// reads.
//
// To add a grant type, write one file with a grant and name it in the table grants; to add a client authentication
// method, one file with a clientAuth and a line in clientAuths. What must hold for every token is a step of
// (*Authority).Token, where no grant can forget it.
package authority

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// Options say whose decisions an Authority makes and with what. All but Now and the limits are required.
type Options struct {
	Issuer  string // the issuer identifier (RFC 8414, 2), compared byte by byte everywhere
	Store   store.Store
	Ring    *keyring.Ring
	Journal *audit.Journal

	Now         func() time.Time // nil means time.Now
	TokenTTL    time.Duration    // life of a token where neither resource nor client says; 0 means 5 minutes
	MaxTokenTTL time.Duration    // no token lives longer; 0 means what the keys are kept for by default, 24 hours
	Throttle    Throttle         // how many failed authentications are borne; the zero value means DefaultThrottle
	Pace        Pace             // how often a client may ask for a token; the zero value means as often as it likes

	// Registrations says how many registrations of one address, and with one initial access token, are borne; the zero value
	// means DefaultRegistrations.
	Registrations Throttle

	Profile Profile // the zero value is the default profile
	// Step, if there is one, hears of what a request has waited for: the signature and the journal. For traces.
	Step func(ctx context.Context, name string, began time.Time, err error)

	RemoteKeys RemoteKeys    // reads what clients publish at a jwks_uri; nil: no such client can authenticate
	Trust      func() *Trust // who vouches for client certificates, asked for each request; nil: tls_client_auth is not offered
	MTLS       string        // what the URLs of the endpoints that ask for a certificate begin with (RFC 8705, 5); "" without
	Nonces     *pop.Nonces   // what a DPoP proof must hold one of; nil: no nonce is asked for

	ClientMemory int // bytes that clients may take which asked lately, some 150 each; 0 means DefaultClientMemory
}

// A Profile says what a client must do at least. The zero value asks for no more than the standards do.
type Profile struct {
	AuthMethods       []string // the client authentication methods that are accepted; nil means all
	Algorithms        []string // of client assertions, DPoP proofs and signed tokens; nil means all that jose knows
	SenderConstrained bool     // every token is bound to a key or a certificate
	StringAudience    bool     // the audience of an assertion is a string, not an array of one
}

// FAPI2 is the FAPI 2.0 Security Profile as far as the client credentials grant goes (5.3.2.1, 5.4).
var FAPI2 = Profile{
	AuthMethods:       []string{oauth.PrivateKeyJWT, oauth.TLSClientAuth, oauth.SelfSignedTLSClientAuth},
	Algorithms:        []string{jose.PS256, jose.ES256, jose.EdDSA, jose.Ed25519},
	SenderConstrained: true,
	StringAudience:    true,
}

// RemoteKeys reads the key sets that clients publish (RFC 7591, 2). It is safe for concurrent use.
type RemoteKeys interface {
	// Keys returns the last good set, or fetches it. An error means that there is none.
	Keys(ctx context.Context, uri string) ([]jose.Key, error)
	// Renew fetches the set again, because a key was not in it, unless that was done less than a minute ago. It reports
	// whether a set was fetched.
	Renew(ctx context.Context, uri string) bool
}

// Trust says which certificate authorities vouch for clients (tls_client_auth; RFC 8705, 2.1). It does not change: what is
// to count from now on is another Trust.
type Trust struct {
	Roots       *x509.CertPool         // nil: nobody vouches for anybody
	Revocations []*x509.RevocationList // of these authorities, signatures checked; a certificate on one is refused
}

// An Authority makes the decisions of one issuer. It is safe for concurrent use.
type Authority struct {
	issuer      string
	store       store.Store
	ring        *keyring.Ring
	journal     *audit.Journal
	now         func() time.Time
	tokenTTL    time.Duration
	maxTokenTTL time.Duration
	directory   *directory
	failures    *failures
	visits      *failures // registrations
	pace        Pace
	step        func(ctx context.Context, name string, began time.Time, err error)
	uses        *uses
	slow        *slowSecrets
	refusals    *lastRefusals
	reuse       *reuse
	verified    *memory[[sha256.Size]byte, verified]
	unrevoked   *memory[string, unrevoked]
	turns       *turns // of signatures

	reading         sync.Mutex                        // held by who reads revocations
	revocations     atomic.Pointer[revocations]       // of the current Trust
	verifySignature func(*jose.Token, jose.Key) error // of an assertion

	profile    Profile
	remoteKeys RemoteKeys
	trust      func() *Trust
	mtls       string
	nonces     *pop.Nonces
}

// New returns the Authority of an issuer, with the keys that it needs to issue by default.
func New(ctx context.Context, options Options) (*Authority, error) {
	if err := checkIssuer(options.Issuer); err != nil {
		return nil, err
	}
	if options.Store == nil || options.Ring == nil || options.Journal == nil {
		return nil, errors.New("authority: store, ring and journal are required")
	}
	a := &Authority{
		issuer: options.Issuer, store: options.Store, ring: options.Ring, journal: options.Journal,
		now: options.Now, tokenTTL: options.TokenTTL, maxTokenTTL: options.MaxTokenTTL,
		profile: options.Profile, remoteKeys: options.RemoteKeys, trust: options.Trust, mtls: options.MTLS, nonces: options.Nonces,
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.tokenTTL == 0 {
		a.tokenTTL = 5 * time.Minute
	}
	if a.maxTokenTTL == 0 {
		a.maxTokenTTL = keyring.DefaultPolicy.MaxTokenTTL
	}
	a.pace, a.step = options.Pace, options.Step
	a.failures = newFailures(options.Throttle, a.now)
	if options.Registrations == (Throttle{}) {
		options.Registrations = DefaultRegistrations
	}
	a.visits = newFailures(options.Registrations, a.now)
	a.uses = newUses(a.now)
	a.refusals = newLastRefusals()
	a.reuse = newReuse(options.Ring)
	a.verified, a.unrevoked = newMemory[[sha256.Size]byte, verified](maxVerified), newMemory[string, unrevoked](maxUnrevoked)
	a.verifySignature = (*jose.Token).Verify
	a.slow = newSlowSecrets()
	a.turns = newTurns(runtime.GOMAXPROCS(0))
	if options.ClientMemory == 0 {
		options.ClientMemory = DefaultClientMemory
	}
	a.directory = newDirectory(options.Store, a.now, options.ClientMemory)
	a.directory.learn = a.slow.learn
	for _, algorithm := range []string{jose.ES256, keyring.Sealing} {
		if err := a.ring.Ensure(ctx, algorithm); err != nil {
			return nil, err
		}
	}
	return a, a.Poll(ctx)
}

// checkIssuer refuses an identifier that clients could not derive the metadata's place from (RFC 8414, 2). Without an
// issuer there is no audience to check anything against (CVE-2026-114618).
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("authority: issuer %q is not an absolute http(s) URL", issuer)
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("authority: issuer %q may have no query, fragment or user", issuer)
	}
	if u.String() != issuer || u.EscapedPath() != u.Path {
		return fmt.Errorf("authority: issuer %q has characters that its endpoints' paths could not be compared with", issuer)
	}
	return nil
}

// Issuer returns the issuer identifier.
func (a *Authority) Issuer() string { return a.issuer }

// JWKS returns the published key set and an entity tag of its bytes.
func (a *Authority) JWKS() (body []byte, etag string) { return a.ring.JWKS() }

// Poll takes over what was changed in the store, by this node or another. It is to be called several times a second:
// while the last call that succeeded is more than a second ago, every decision reads the store.
func (a *Authority) Poll(ctx context.Context) error { return a.directory.poll(ctx) }

// An Unavailable error means that no decision could be made now: nothing was done, and the same request may succeed
// after RetryAfter.
type Unavailable struct {
	RetryAfter time.Duration
	Fault      Fault
	Cause      error
}

// A Fault says whose fault it is that no decision was made.
type Fault int8

// The faults.
const (
	FaultOurs          Fault = iota
	FaultFailures            // the caller failed too often
	FaultRequests            // the client asked for tokens too often
	FaultRegistrations       // an address, or an initial access token, came to register too often
	FaultHashes              // nobody's: more secrets came than can be hashed, which is so with any flood of guesses
)

func (u *Unavailable) Error() string {
	if u.Cause == nil {
		return "authority: unavailable"
	}
	return "authority: unavailable: " + u.Cause.Error()
}

// Unwrap returns the cause.
func (u *Unavailable) Unwrap() error { return u.Cause }

func unavailable(cause error) error {
	return &Unavailable{RetryAfter: time.Second, Cause: cause}
}

// The kinds of the events.
const (
	eventIssued     = "token.issued"
	eventRepeated   = "token.repeated" // the same token as before, to the same client; see reuse.go
	eventRefused    = "token.refused"
	eventUnheard    = "introspection.refused"
	eventRevoked    = "token.revoked"
	eventNotRevoked = "revocation.refused"
	eventRotated    = "secret.rotated"
	eventNotRotated = "rotation.refused"
)

// A reason says why in a word, below an error that does not.
type reason string

func (r reason) Error() string { return string(r) }

// The words for what has no reason of its own and is no *oauth.Error.
const (
	reasonTooMany     = "too_many_failures"
	reasonOften       = "too_many_requests"
	reasonUnavailable = "unavailable"
	reasonError       = "error"
)

func (f Fault) reason() string {
	switch f {
	case FaultFailures:
		return reasonTooMany
	case FaultRequests:
		return reasonOften
	case FaultRegistrations:
		return string(reasonTooManyRegistrations)
	}
	return reasonUnavailable
}

func reasonOf(err error) string {
	var why reason
	var busy *Unavailable
	var refusal *oauth.Error
	switch {
	case errors.As(err, &why):
		return string(why)
	case errors.As(err, &busy):
		return busy.Fault.reason()
	case errors.As(err, &refusal):
		return string(refusal.Code)
	}
	return reasonError
}
