// Package admin administers a Writ server from Go: its clients and their credentials, resources, roles, signing keys, the audit
// trail and the declared state. It is what the command line speaks to a server with.
//
// To the issuer, its admin API is a protected resource like any other: get tokens for it with the client package, whose HTTP
// client adds them.
//
//	source, err := client.New(client.Config{
//		Issuer: "https://auth.example.com", ClientID: id, Credential: client.SecretFile("secret"),
//		Resource: "https://auth.example.com" + admin.Path, AllowHosts: []string{"admin.internal:8444"},
//	})
//	…
//	api, err := admin.New(admin.Config{URL: "https://admin.internal:8444", HTTPClient: source.Client()})
//
// What a method needs is a scope of the admin API, which its operation in the OpenAPI document names. What the server refuses
// is a *[Problem].
//
// Two writers who change the same object keep out of each other's way with its ETag: see [IfMatch]. A write whose answer was
// lost can be sent again: see [IdempotencyKey].
package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/writ-auth/writ/admin/wire"
)

// Path is where the admin API is below the address of its server. The issuer's URL and Path are the URI of the resource that
// tokens are for.
const Path = wire.Path

// Config says where the API is. Both fields are required.
type Config struct {
	// URL is the address of the server's admin listener, such as https://admin.internal:8444.
	URL string
	// HTTPClient adds the access token to each request. It follows no redirect here: a token goes nowhere else.
	HTTPClient *http.Client
}

// An API is the admin API of a server. It is safe for concurrent use.
type API struct {
	url  string // up to and with Path
	http http.Client
}

// New returns the API of a server. It sends nothing.
func New(config Config) (*API, error) {
	address, err := url.Parse(config.URL)
	switch {
	case err != nil:
		return nil, errors.New("admin: URL is none") // what it is may hold a password
	case address.Host == "" || address.User != nil || address.Scheme != "https" && address.Scheme != "http" || address.RawQuery != "" || address.Fragment != "":
		return nil, fmt.Errorf("admin: URL %s is not that of a server, such as https://admin.internal:8444", address.Redacted())
	case config.HTTPClient == nil:
		return nil, errors.New("admin: HTTPClient is missing: it adds the access token")
	}
	api := &API{url: strings.TrimSuffix(config.URL, "/") + Path, http: *config.HTTPClient}
	api.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return api, nil
}

// An Option is something that one request says beside what it is about.
type Option func(http.Header)

// IfMatch lets a write happen only if the object is still what it was when it had the ETag, which every answer with the object
// has; else the error is a [Problem] with the status 412, and nothing was changed. "*" stands for any object that is there.
func IfMatch(etag string) Option { return header("If-Match", etag) }

// IfNoneMatch makes a method that reads one object answer [ErrNotModified] if the object is still what it was when it had the
// ETag. Last uses are not part of what an object is.
func IfNoneMatch(etag string) Option { return header("If-None-Match", etag) }

// IdempotencyKey lets a write be sent again when its answer was lost: the answer to the same request by the same operator with
// the same key, a text of up to 255 printable ASCII characters that no other request has, is that of the first, with the same
// secret. "" is as if there were no such option.
func IdempotencyKey(key string) Option { return header("Idempotency-Key", key) }

// ErrNotModified says that an object is what the caller knows already.
var ErrNotModified = errors.New("admin API: the object is what it was")

func header(name, value string) Option {
	return func(h http.Header) {
		if value != "" {
			h.Set(name, value)
		}
	}
}
