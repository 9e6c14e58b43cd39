package resource

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/oauth"
)

// Introspection says how to ask the issuer about a token (RFC 7662). The client needs no grant but must be registered
// as a resource server for the audience.
type Introspection struct {
	// ClientID says as which client this API asks. Required.
	ClientID string

	// ClientSecret authenticates this API to the issuer, by HTTP Basic. Either it or PrivateKey is required.
	ClientSecret Secret

	// PrivateKey authenticates this API to the issuer with an assertion for each question, instead of a secret
	// (private_key_jwt; RFC 7523): PEM or a JWK, with the public half registered at the issuer. The JWK may name its "alg";
	// an RSA key signs with PS256 otherwise. It is what an issuer with the FAPI 2.0 profile asks for.
	PrivateKey Secret

	// Endpoint is where to ask; the issuer's metadata says it when empty. https, or http on loopback.
	Endpoint string

	// Always asks about JWTs as well, after they have been verified here: then a revoked token is refused at once
	// instead of when it expires, at the price of a request to the issuer per request. Tokens that are neither JWTs nor
	// Writ's opaque ones are asked about too.
	Always bool

	// CacheFor is how long an answer "active" is remembered, and so how long a revoked token lives on. Not at all when
	// zero; at most a minute, and never longer than the token lives. Other answers are not remembered.
	CacheFor time.Duration
}

const maxCacheFor = time.Minute

func (i *Introspection) validate(issuer string) error {
	var problems []error
	if i.ClientID == "" || i.ClientSecret == "" && i.PrivateKey == "" {
		problems = append(problems, errors.New("ClientID and ClientSecret, or ClientID and PrivateKey, are required"))
	}
	if i.ClientSecret != "" && i.PrivateKey != "" {
		problems = append(problems, errors.New("ClientSecret and PrivateKey are two ways to say who asks: give one"))
	}
	if _, err := i.signer(); err != nil {
		problems = append(problems, fmt.Errorf("PrivateKey: %w", err))
	}
	if i.CacheFor < 0 || i.CacheFor > maxCacheFor {
		problems = append(problems, errors.New("CacheFor is not between 0 and a minute"))
	}
	if i.Endpoint != "" {
		u, err := parseURI(i.Endpoint)
		if err == nil {
			err = secureFor(issuer, u)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("Endpoint: %w", err))
		}
	}
	return errors.Join(problems...)
}

// opaquePrefix begins every opaque access token of Writ.
const opaquePrefix = "writ_at_"

// Bounds on what introspection may cost: the size of an answer, and how many requests may wait for the issuer at a time.
const (
	maxIntrospectionBytes = 64 << 10
	maxIntrospections     = 64
)

// An introspector asks the issuer about tokens.
type introspector struct {
	issuer   *remote // knows the endpoint where none is configured
	endpoint string
	asker    asker
	always   bool
	cacheFor time.Duration
	http     *http.Client
	cache    *cache
	slots    chan struct{} // one per request that is under way
}

func newIntrospector(config Config, issuer *remote) *introspector {
	i := config.Introspection
	if i == nil {
		return nil
	}
	size := config.CacheSize
	if i.CacheFor == 0 {
		size = 0
	}
	signer, _ := i.signer() // the key has been validated
	return &introspector{
		issuer: issuer, endpoint: i.Endpoint, always: i.Always,
		asker:    asker{issuer: config.Issuer, id: i.ClientID, secret: i.ClientSecret, signer: signer, now: config.Now},
		cacheFor: i.CacheFor, http: config.HTTPClient, cache: newCache(size), slots: make(chan struct{}, maxIntrospections),
	}
}

// introspect judges an opaque token.
func (v *Verifier) introspect(ctx context.Context, sum [sha256.Size]byte, token string) (*Token, error) {
	if v.introspection == nil {
		return nil, errOpaque
	}
	if !isToken68(token) {
		return nil, errMalformed
	}
	if known, ok := v.introspection.cache.get(sum, v.now()); ok {
		return known.token.clone(), nil
	}
	asked := v.now() // an answer is as old as its question
	claims, raw, err := v.introspection.ask(ctx, token)
	if err != nil {
		return nil, err
	}
	// The answer is the issuer's, but perhaps about another issuer's, another API's or a dead token: the rules are
	// the same as for a JWT (RFC 7662, 4).
	if err := v.check(claims); err != nil {
		return nil, err
	}
	t, err := newToken(claims, raw)
	if err != nil {
		return nil, err
	}
	until := asked.Add(v.introspection.cacheFor)
	if t.Expires.Before(until) {
		until = t.Expires
	}
	v.introspection.cache.put(sum, verdict{token: t, until: until})
	return t.clone(), nil
}

// stillActive asks the issuer about a JWT that was verified, and takes the issuer's word about the same token.
func (v *Verifier) stillActive(ctx context.Context, sum [sha256.Size]byte, token string, verified *Token) (*Token, error) {
	t, err := v.introspect(ctx, sum, token)
	if err != nil {
		return nil, err
	}
	if t.ID == "" {
		t.ID = verified.ID // an issuer may leave it out (RFC 7662, 2.2)
	}
	if t.ClientID != verified.ClientID || t.Subject != verified.Subject || t.ID != verified.ID {
		return nil, errInactive.Because(errOtherToken)
	}
	// An answer that leaves the binding out must not loosen it.
	if t.bound == nil {
		t.bound = verified.bound
	}
	if verified.bound != nil && *t.bound != *verified.bound {
		return nil, errInactive.Because(errOtherToken)
	}
	return t, nil
}

var errOtherToken = errors.New("resource: introspection answers about another token")

// ask returns what the issuer says about an active token. Whoever cannot ask does not know: every failure is an
// *UnavailableError and none is remembered.
// ask returns what the issuer says of a token, and the JSON object that it stands in.
func (i *introspector) ask(ctx context.Context, token string) (*oauth.Claims, []byte, error) {
	select {
	case i.slots <- struct{}{}:
		defer func() { <-i.slots }()
	case <-ctx.Done():
		return nil, nil, unavailable(0, fmt.Errorf("resource: introspection: %w", context.Cause(ctx)))
	}
	body, err := i.post(ctx, token)
	if err != nil {
		if already, ok := errors.AsType[*UnavailableError](err); ok {
			return nil, nil, already
		}
		return nil, nil, unavailable(0, fmt.Errorf("resource: introspection: %w", err))
	}
	claims, err := readIntrospection(body)
	return claims, body, err
}

func (i *introspector) post(ctx context.Context, token string) ([]byte, error) {
	endpoint, err := i.where(ctx)
	if err != nil {
		return nil, err
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	if err := i.asker.assert(form); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	if i.asker.signer == nil {
		request.Header.Set("Authorization", i.asker.basic())
	}
	response, err := i.http.Do(request)
	if err != nil {
		return nil, err
	}
	return readAnswer(response, maxIntrospectionBytes)
}

func (i *introspector) where(ctx context.Context) (string, error) {
	if i.endpoint != "" {
		return i.endpoint, nil
	}
	d, err := i.issuer.documents(ctx)
	if err != nil {
		return "", err
	}
	if d.introspection == "" {
		return "", errors.New("the issuer's metadata names no introspection endpoint to trust")
	}
	return d.introspection, nil
}

// readIntrospection reads an answer. Only the boolean true means active: a string, a number or nothing at all does not.
func readIntrospection(body []byte) (*oauth.Claims, error) {
	var answer struct {
		Active    json.RawMessage `json:"active"`
		TokenType string          `json:"token_type"`
	}
	if err := jose.DecodeObject(body, &answer); err != nil {
		return nil, unavailable(0, fmt.Errorf("resource: introspection: %w", err))
	}
	if string(answer.Active) != "true" {
		return nil, errInactive
	}
	var claims oauth.Claims
	if err := jose.DecodeObject(body, &claims); err != nil {
		return nil, errInactive.Because(err)
	}
	bound, err := pop.ParseConfirmation(claims.Confirmation)
	if err != nil {
		return nil, errBound.Because(err)
	}
	// A token of type DPoP whose key the issuer does not name cannot be checked (RFC 9449, 6.2).
	if answer.TokenType != "" && !strings.EqualFold(answer.TokenType, bound.TokenType()) {
		return nil, errMistyped
	}
	return &claims, nil
}
