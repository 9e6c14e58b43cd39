package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// How long what the issuer published is used, and how long anybody waits for it.
const (
	fetchTimeout  = 3 * time.Second // for metadata and keys together
	waitTimeout   = 2 * time.Second // of a request for all it needs; shorter, so that it can still answer
	defaultMaxAge = 5 * time.Minute // without a Cache-Control of the issuer
	longestMaxAge = time.Hour       // whatever the issuer says: a withdrawn key must not live on for longer
	maxStale      = 24 * time.Hour  // of the last good keys, while the issuer is down
	firstBackoff  = time.Second     // after the first failure without good keys; doubles up to the key interval
)

// documents are what an issuer publishes about itself, read and checked.
type documents struct {
	keys          []Key
	introspection string // endpoint, or empty
	fetched       time.Time
	maxAge        time.Duration
}

// A remote keeps the documents of an issuer fresh. All that need them share one fetch; the issuer is asked at most once
// per interval whatever strangers send; and while it is down the last good documents are used, for a day. Safe for
// concurrent use.
type remote struct {
	issuer      string
	metadataURL string
	http        *http.Client
	interval    time.Duration
	now         func() time.Time
	log         *slog.Logger

	mu        sync.Mutex    // guards what follows
	good      *documents    // the last good ones; nil before the first
	flight    chan struct{} // closed when the running fetch has ended; nil when none runs
	failures  int           // since the last good fetch
	lastError error         // of the last fetch
	nextFetch time.Time     // not before, after a failure
	nextRenew time.Time     // not before, for an unknown key
}

func newRemote(config Config) *remote {
	location, _ := oauth.MetadataURL(config.Issuer) // the issuer has been validated
	return &remote{
		issuer: config.Issuer, metadataURL: location, http: config.HTTPClient, interval: config.KeyInterval,
		now: config.Now, log: config.Logger,
	}
}

// ready returns the issuer's keys if no caller must wait for newer ones.
func (r *remote) ready() []Key {
	if d, _ := r.due(); d != nil {
		return d.keys
	}
	return nil
}

// current returns the issuer's keys; see documents.
func (r *remote) current(ctx context.Context) ([]Key, error) {
	d, err := r.documents(ctx)
	if err != nil {
		return nil, err
	}
	return d.keys, nil
}

// due returns the last good documents if they may be used at once, and else the fetch to wait for, if one may run. When
// they are due, they are renewed behind the caller's back; only the first caller after a long silence waits, so that a
// key withdrawn meanwhile is not used, and whoever finds none at all.
func (r *remote) due() (*documents, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	d := r.usable(now)
	if d != nil && now.Sub(d.fetched) < d.maxAge {
		return d, nil
	}
	flight := r.fetch(now)
	if d == nil || r.failures == 0 && now.Sub(d.fetched) >= 2*d.maxAge {
		return nil, flight
	}
	return d, nil
}

// documents returns the last good documents, after waiting for them where that is needed.
func (r *remote) documents(ctx context.Context) (*documents, error) {
	d, flight := r.due()
	if d != nil {
		return d, nil
	}
	cause := await(ctx, flight)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if d = r.usable(now); d != nil {
		return d, nil
	}
	if cause == nil {
		cause = r.lastError
	}
	return nil, unavailable(r.nextFetch.Sub(now), cause)
}

// renew fetches newer documents and waits for them, at most once per interval: unknown key IDs are free to invent.
func (r *remote) renew(ctx context.Context) bool {
	r.mu.Lock()
	now := r.now()
	if r.flight == nil && now.Before(r.nextRenew) {
		r.mu.Unlock()
		return false
	}
	running := r.flight != nil
	flight := r.fetch(now)
	if flight != nil && !running {
		r.nextRenew = now.Add(r.interval + rand.N(r.interval/8)) // jitter: many APIs must not ask together
	}
	r.mu.Unlock()
	return await(ctx, flight) == nil
}

// usable returns the last good documents while they are not too old. It needs mu.
func (r *remote) usable(now time.Time) *documents {
	if r.good != nil && now.Sub(r.good.fetched) < maxStale {
		return r.good
	}
	return nil
}

// fetch joins the running fetch or starts one; nil if it is too early after a failure. It needs mu.
func (r *remote) fetch(now time.Time) <-chan struct{} {
	if r.flight == nil && !now.Before(r.nextFetch) {
		r.flight = make(chan struct{})
		go r.run(now, r.flight)
	}
	return r.flight
}

var errSlow = errors.New("resource: the issuer takes too long")

// await waits for a fetch to end, not to succeed.
func await(ctx context.Context, flight <-chan struct{}) error {
	if flight == nil {
		return nil
	}
	select {
	case <-flight:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run is a fetch. It belongs to no request: the one that started it may go away while others wait.
func (r *remote) run(start time.Time, done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	d, err := r.load(ctx)
	if err != nil {
		next := r.failed(err)
		close(done)
		r.log.Warn("issuer's keys not renewed", "issuer", r.issuer, "error", err, "next", next)
		return
	}
	d.fetched = start
	r.renewed(d)
	close(done)
	r.log.Debug("issuer's keys renewed", "issuer", r.issuer, "keys", len(d.keys), "for", d.maxAge)
}

func (r *remote) renewed(d *documents) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flight, r.lastError = nil, nil
	r.good, r.failures, r.nextFetch = d, 0, time.Time{}
}

// failed keeps the last good documents and returns the time until the next attempt.
func (r *remote) failed(err error) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flight, r.lastError = nil, err
	r.failures++
	delay := r.delay()
	r.nextFetch = r.now().Add(delay)
	return delay
}

// delay is the time until the next attempt after a failure. Without good documents every request fails meanwhile, so it
// starts short. It needs mu.
func (r *remote) delay() time.Duration {
	delay := r.interval
	if r.usable(r.now()) == nil {
		delay = min(firstBackoff<<min(r.failures-1, 16), r.interval)
	}
	return delay + rand.N(delay/8)
}

// load fetches and checks both documents.
func (r *remote) load(ctx context.Context) (*documents, error) {
	var metadata oauth.Metadata
	body, _, err := fetchDocument(ctx, r.http, r.metadataURL, maxMetadataBytes)
	if err != nil {
		return nil, fmt.Errorf("resource: issuer metadata: %w", err)
	}
	if err := jose.DecodeObject(body, &metadata); err != nil {
		return nil, fmt.Errorf("resource: issuer metadata: %w", err)
	}
	// (RFC 8414, 3.3) Otherwise one issuer could speak for another and lend it its keys.
	if metadata.Issuer != r.issuer {
		return nil, errors.New("resource: issuer metadata: it is the metadata of another issuer")
	}
	if err := r.trusts(metadata.JWKSURI); err != nil {
		return nil, fmt.Errorf("resource: issuer metadata: jwks_uri: %w", err)
	}
	if metadata.IntrospectionEndpoint != "" && r.trusts(metadata.IntrospectionEndpoint) != nil {
		metadata.IntrospectionEndpoint = "" // a secret would go there
	}
	body, header, err := fetchDocument(ctx, r.http, metadata.JWKSURI, jose.MaxJWKSBytes)
	if err != nil {
		return nil, fmt.Errorf("resource: issuer keys: %w", err)
	}
	keys, err := r.parseKeys(body)
	if err != nil {
		return nil, fmt.Errorf("resource: issuer keys: %w", err)
	}
	maxAge := min(max(cacheFor(header), r.interval), longestMaxAge)
	return &documents{keys: keys, introspection: metadata.IntrospectionEndpoint, maxAge: maxAge}, nil
}

// trusts reports whether an endpoint of the issuer may be used: over TLS, or on loopback if the issuer is there too.
func (r *remote) trusts(endpoint string) error {
	u, err := parseURI(endpoint)
	if err != nil {
		return err
	}
	return secureFor(r.issuer, u)
}

// secureFor is secure for an endpoint of issuer: an https issuer cannot send us to an http one, loopback or not.
func secureFor(issuer string, u *url.URL) error {
	if i, err := url.Parse(issuer); err == nil && i.Scheme == "https" && u.Scheme != "https" {
		return errors.New("is not https")
	}
	return secure(u)
}

// parseKeys takes a key set that has at least one key for us. One with none is a mistake of the issuer, and the last
// good set is better.
func (r *remote) parseKeys(body []byte) ([]Key, error) {
	keys, err := jose.ParseJWKS(body)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("no key can verify a signature")
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(body, &set); err == nil && len(set.Keys) > len(keys) {
		r.log.Warn("issuer publishes keys that are ignored: symmetric, private, weak or unknown",
			"issuer", r.issuer, "ignored", len(set.Keys)-len(keys))
	}
	return keys, nil
}
