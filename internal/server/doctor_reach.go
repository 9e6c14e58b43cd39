package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// Bounds of what is fetched.
const (
	fetchTimeout = 10 * time.Second
	maxFetched   = 1 << 20
)

// Differences of clocks: assertions and proofs are borne up to oauth.Leeway ahead.
const clockWarning = 3 * time.Second

// reach looks at the issuer from outside.
func (d *doctor) reach(ctx context.Context) {
	if d.issuer == "" {
		d.add("issuer", DiagnosisFailed, "it is not known where the server is", "start it: writ serve; or name it: writ doctor --url https://auth.example.com")
		return
	}
	location, err := oauth.MetadataURL(d.issuer)
	if err != nil {
		d.add("issuer", DiagnosisFailed, err.Error(), "writ config check")
		return
	}
	asked := time.Now()
	response, err := fetch(ctx, location)
	if err != nil {
		d.unreachable(err)
		return
	}
	d.clock(response, asked)
	d.connection(response)
	d.metadata(ctx, response)
	d.ready(ctx)
}

func (d *doctor) unreachable(err error) {
	remedy := "is the server running? writ serve"
	if certificate, is := errors.AsType[*tls.CertificateVerificationError](err); is {
		err, remedy = certificate, "a certificate for the issuer's host from an authority that clients trust, with the chain behind it"
	}
	d.add("issuer", DiagnosisFailed, err.Error(), remedy)
	for _, check := range []string{"clock", "metadata", "jwks"} {
		d.skip(check, "the issuer does not answer")
	}
}

// A fetched is an answer that was read.
type fetched struct {
	*http.Response // its body is read and closed
	content        []byte
}

// fetch reads a document without following redirects: clients do not either.
func fetch(ctx context.Context, location string) (fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return fetched{}, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return fetched{}, err
	}
	defer func() { _ = response.Body.Close() }() // read or given up
	body, err := io.ReadAll(io.LimitReader(response.Body, maxFetched))
	return fetched{response, body}, err
}

// clock compares this machine's with the one of the issuer's answer, which is cut to seconds.
func (d *doctor) clock(response fetched, asked time.Time) {
	const check = "clock"
	theirs, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		d.skip(check, "the answer has no Date")
		return
	}
	off := theirs.Sub(asked.Truncate(time.Second))
	if answered := time.Now(); off > 0 {
		off = max(0, theirs.Sub(answered.Truncate(time.Second)))
	}
	text := fmt.Sprintf("this machine and the issuer are %v apart", off.Abs())
	switch {
	case off.Abs() > oauth.Leeway:
		d.add(check, DiagnosisFailed, text+": assertions and proofs are refused", "set both clocks by a time server: timedatectl set-ntp true")
	case off.Abs() > clockWarning:
		d.add(check, DiagnosisWarning, text, "set both clocks by a time server: timedatectl set-ntp true")
	default:
		d.ok(check, text)
	}
}

func (d *doctor) connection(response fetched) {
	const check = "https"
	if response.TLS == nil {
		if u, err := url.Parse(d.issuer); err == nil && !isLoopback(u.Hostname()) {
			d.add(check, DiagnosisFailed, "the issuer is not https", "writ doctor --set issuer=https://"+u.Host)
		}
		return
	}
	leaf := response.TLS.PeerCertificates[0]
	if !d.expiry(check, "the certificate that callers see", leaf.NotAfter, "renew it where TLS ends: at the proxy, or in tls.certificate") {
		d.ok(check, tls.VersionName(response.TLS.Version)+", the certificate counts until "+leaf.NotAfter.UTC().Format(time.DateOnly))
	}
}

func isLoopback(host string) bool {
	return host == "localhost" || strings.HasPrefix(host, "127.") || host == "::1"
}

func (d *doctor) metadata(ctx context.Context, response fetched) {
	const check = "metadata"
	var document oauth.Metadata
	switch {
	case response.StatusCode != http.StatusOK:
		d.add(check, DiagnosisFailed, "it is answered with "+response.Status, "does the proxy pass on "+response.Request.URL.Path+"?")
		return
	case json.Unmarshal(response.content, &document) != nil:
		d.add(check, DiagnosisFailed, "it is not JSON", "does the proxy pass on "+response.Request.URL.Path+"?")
		return
	case document.Issuer != d.issuer:
		d.add(check, DiagnosisFailed, fmt.Sprintf("it says that the issuer is %s, and not %s: clients refuse that", document.Issuer, d.issuer), "set issuer to what callers use: writ config check")
		return
	}
	d.ok("issuer", d.issuer)
	d.ok(check, "it is the issuer's")
	d.jwks(ctx, document.JWKSURI)
}

func (d *doctor) jwks(ctx context.Context, location string) {
	const check = "jwks"
	response, err := fetch(ctx, location)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New("it is answered with " + response.Status)
	}
	var keys []jose.Key
	if err == nil {
		keys, err = jose.ParseJWKS(response.content)
	}
	switch {
	case err != nil:
		d.add(check, DiagnosisFailed, location+": "+err.Error(), "does the proxy pass it on?")
	case len(keys) == 0:
		d.add(check, DiagnosisFailed, "no key is published: no token can be verified", "writ key list")
	default:
		d.ok(check, fmt.Sprintf("keys published: %d", len(keys)))
	}
}

// ready asks the admin listener, which knows whether the journal can be written and the store answers.
func (d *doctor) ready(ctx context.Context) {
	const check = "server"
	if d.admin == "" {
		return
	}
	response, err := fetch(ctx, d.admin+"/readyz")
	if err != nil {
		d.skip(check, "the admin listener does not answer here: "+err.Error())
		return
	}
	var h health
	if json.Unmarshal(response.content, &h) != nil || !slices.Contains([]string{"ok", "degraded", "failing", "stopping"}, h.Status) {
		d.add(check, DiagnosisFailed, d.admin+" is not the admin listener of a server", "writ config check")
		return
	}
	if h.Status == "ok" && response.StatusCode == http.StatusOK {
		d.ok(check, "it issues tokens: the store answers and the journal can be written")
		return
	}
	d.add(check, DiagnosisFailed, fmt.Sprintf("it is %s: store %s, journal %s", h.Status, h.Store, h.Audit), "its log says why; room on the disk, and the database, are the first to look at")
}
