package remotekeys

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/jose"
)

// fetchTimeout is for all of a fetch: waiting for a slot, name, connection, handshake, answer.
const fetchTimeout = 3 * time.Second

// A failure is a kind of thing that goes wrong. It is all that is said of a fetch: the body may be another system's
// secret, and an address a map of our inner network (server-side request forgery reads back what it can).
type failure string

func (f failure) Error() string { return "remotekeys: jwks_uri " + string(f) }

const (
	errNotPublic   failure = "leads to an address that is not public"
	errNotFound    failure = "has a host that is not found"
	errConnection  failure = "has a host that cannot be connected to"
	errCertificate failure = "has a host whose certificate is not accepted"
	errTLS         failure = "has a host that does not answer over TLS 1.2 or 1.3"
	errSlow        failure = "does not answer in time"
	errBusy        failure = "has to wait for too many others"
	errAnswer      failure = "is not answered in HTTP"
	errCompressed  failure = "has a compressed answer"
	errTooLarge    failure = "has an answer of more than 256 KiB"
	errNotKeys     failure = "has an answer that is not a JWK Set"
	errNoKey       failure = "has no key that can verify a signature"
)

// load fetches and reads the set once a slot is free.
func (c *Cache) load(ctx context.Context, uri string) (_ *set, err error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, errBusy
	}
	defer func() {
		// A parser that trips over a stranger's document must not take all the others down with it.
		if recover() != nil {
			err = errNotKeys
		}
	}()
	body, header, err := c.get(ctx, uri)
	if err != nil {
		return nil, err
	}
	keys, err := jose.ParseJWKS(body)
	if err != nil {
		return nil, errNotKeys
	}
	return &set{keys: keys, maxAge: maxAge(header)}, nil
}

// get returns the body and header of a 200 answer.
func (c *Cache) get(ctx context.Context, uri string) ([]byte, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, nil, errAnswer
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("User-Agent", "writ")
	conn, err := c.connect(ctx, request.URL)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = conn.Close() }()
	response, err := over(conn).RoundTrip(request)
	if err != nil {
		return nil, nil, kind(ctx)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, nil, failure("is answered with status " + strconv.Itoa(response.StatusCode/100) + "xx")
	}
	if encoding := response.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, nil, errCompressed // a kilobyte can unpack to a gigabyte
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, jose.MaxJWKSBytes+1))
	if err != nil {
		return nil, nil, kind(ctx)
	}
	if len(body) > jose.MaxJWKSBytes {
		return nil, nil, errTooLarge
	}
	return body, response.Header, nil
}

// connect returns a connection to where u leads, with the host's certificate verified. All of it ends with ctx, which
// what a transport dials by itself does not.
func (c *Cache) connect(ctx context.Context, u *url.URL) (net.Conn, error) {
	port := u.Port()
	if port == "" {
		port = "443"
	}
	raw, err := c.guard.dial(ctx, u.Hostname(), port)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{ServerName: u.Hostname(), RootCAs: c.roots, MinVersion: tls.VersionTLS12})
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		var certificate *tls.CertificateVerificationError
		switch {
		case errors.As(err, &certificate):
			return nil, errCertificate
		case ctx.Err() != nil:
			return nil, errSlow
		}
		return nil, errTLS
	}
	return abrupt{conn}, nil
}

// abrupt closes a connection without saying goodbye, which would wait for seconds for a host that does not listen.
type abrupt struct{ *tls.Conn }

func (c abrupt) Close() error { return c.NetConn().Close() }

// over speaks HTTP over one connection and makes no other: no proxy of the environment, which would connect for us to
// where we may not. It is used without an http.Client, whose part is redirects and cookies.
func over(conn net.Conn) *http.Transport {
	return &http.Transport{
		DialTLSContext:         func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// kind says what kind of error HTTP ended with, and no more.
func kind(ctx context.Context) error {
	if ctx.Err() != nil {
		return errSlow
	}
	return errAnswer
}

// maxAge returns how long a set is used, by what the answer says (RFC 9111, 5.2.2) within our bounds.
func maxAge(header http.Header) time.Duration {
	age := shortestMaxAge
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return shortestMaxAge
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = time.Duration(seconds) * time.Second
			}
		}
	}
	return min(max(age, shortestMaxAge), longestMaxAge)
}
