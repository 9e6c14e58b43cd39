package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds on one exchange with the issuer and on trying again.
const (
	maxBody        = 1 << 20
	attemptTimeout = 10 * time.Second
	maxAttempts    = 3
	firstBackoff   = 250 * time.Millisecond
	maxRetryAfter  = time.Minute
)

// A transientError is a failure that may pass: a broken connection, 429 or 5xx.
type transientError struct {
	err   error
	after time.Duration // what Retry-After asked for, at most maxRetryAfter; 0 if it said nothing
}

func (t *transientError) Error() string { return t.err.Error() }
func (t *transientError) Unwrap() error { return t.err }

// wait returns how long to wait after attempt n: at least what the server asked for.
func (t *transientError) wait(n int) time.Duration {
	if t.after > 0 {
		return jitter(t.after)
	}
	d := firstBackoff << (n - 1)
	return d/2 + rand.N(d/2)
}

// pause waits for d, or reports that ctx would end first.
func pause(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return false
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// An answer is what the issuer answered, read in full.
type answer struct {
	address   string
	status    int
	mediaType string
	after     time.Duration // Retry-After
	nonce     bool          // whether it brings a nonce for DPoP proofs, which the prover has
	body      []byte
}

// exchange sends a request to the issuer and reads the answer within its bounds. A redirect is an answer like any other
// that nobody expects.
func (s *server) exchange(request *http.Request) (*answer, error) {
	ctx, cancel := context.WithTimeout(request.Context(), attemptTimeout)
	defer cancel()
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "writ-client-go")
	response, err := s.http.Do(request.WithContext(ctx))
	if err != nil {
		return nil, connectionError(request.URL, err)
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return nil, connectionError(request.URL, err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("%s answered more than 1 MiB", request.URL.Redacted())
	}
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	nonce := s.prover != nil && s.prover.learn(audienceOf(request.URL, true), response.Header)
	return &answer{
		address: request.URL.Redacted(), status: response.StatusCode, mediaType: mediaType,
		after: retryAfter(response.Header.Get("Retry-After")), nonce: nonce, body: body,
	}, nil
}

// connectionError says that the server could not be reached. Another attempt may help, unless its certificate is wrong.
func connectionError(address *url.URL, err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // it would repeat method and address
	}
	err = fmt.Errorf("no answer from %s: %w", address.Redacted(), err)
	if _, certificate := errors.AsType[*tls.CertificateVerificationError](err); certificate {
		return fmt.Errorf("%w; check that the machine trusts the server's certificate authority", err)
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" && strings.Contains(alert.Error(), "certificate") {
		return fmt.Errorf("%w; the server refuses the client's certificate: check that there is one, and that the server trusts who issued it", err)
	}
	return &transientError{err: err}
}

// retryAfter reads the header: seconds or a date (RFC 9110, 10.2.3). What it asks for is heeded up to a minute: a server
// that says "next year" by mistake must not switch its clients off.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if date, err := http.ParseTime(header); err == nil {
		return min(max(time.Until(date), 0), maxRetryAfter)
	}
	return 0
}

// unexpected turns an answer that is not a document into an error, with a hint for whoever reads it.
func (a *answer) unexpected(hint string) error {
	if a.status >= 300 && a.status < 400 {
		return fmt.Errorf("%s answered %d, a redirect, which is never followed: configure the address that it leads to", a.address, a.status)
	}
	return a.judged(fmt.Errorf("%s answered %d %s; %s", a.address, a.status, http.StatusText(a.status), hint))
}

// judged marks err as transient if the status says so.
func (a *answer) judged(err error) error {
	if a.status == http.StatusTooManyRequests || a.status >= 500 {
		return &transientError{err: err, after: a.after}
	}
	return err
}
