// Package adminapi is the registry as JSON over HTTP, described by an OpenAPI document that is made from the code. It is a
// protected resource of the issuer itself: operators and automation come with ordinary access tokens, and every route
// names the scope it needs.
//
// It decides nothing: registry does. There are no cookies and no CORS, so a browser on another page can do nothing with
// it. The public package admin is what Go programs, the command line
// among them, speak to it with.
package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/writ-auth/writ/admin/wire"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// Prefix is what the path of every route begins with.
const Prefix = wire.Path

// openAPIPath is the one route that needs no token: what the API can do is no secret.
const openAPIPath = Prefix + "/openapi.json"

// maxBody bounds a request's body in bytes.
const maxBody = 1 << 20

// Options of the API. The zero value works.
type Options struct {
	Logger *slog.Logger // hears why a request could not be answered; nothing is logged when nil
	// Explain tells why a request was refused; its error for an ID that it does not know is NoRefusal. nil: nothing is known.
	Explain func(ctx context.Context, id string) (Explanation, error)
	Audit   Audit // what the API tells of it; without its functions, that there is none
	// RequestID names a request in the events of what it changes; nil: none has a name. Its RemoteAddr is to be that of the caller,
	// whatever proxies are in between.
	RequestID func(*http.Request) string
}

// New returns the handler of all paths below Prefix. It wants every request as it came: a mux in front of it must not
// clean paths.
func New(reg *registry.Registry, verifier *resource.Verifier, options Options) http.Handler {
	return &onDemand{make: func() http.Handler { return newAPI(reg, verifier, options) }}
}

// api is the API on a mux.
type api struct {
	registry  *registry.Registry
	verifier  *resource.Verifier
	logger    *slog.Logger
	explains  func(ctx context.Context, id string) (Explanation, error)
	audit     Audit
	requestID func(*http.Request) string
	huma      huma.API
	mux       *http.ServeMux
	challenge string // without a scheme
	document  func() ([]byte, error)
}

func newAPI(reg *registry.Registry, verifier *resource.Verifier, options Options) *api {
	a := &api{registry: reg, verifier: verifier, logger: options.Logger, explains: options.Explain, audit: options.Audit, requestID: options.RequestID, mux: http.NewServeMux()}
	if a.logger == nil {
		a.logger = slog.New(slog.DiscardHandler)
	}
	a.challenge, a.document = challenge(reg.Admin()), sync.OnceValues(a.openAPI)
	a.huma = huma.NewAPI(configuration(), humago.NewAdapter(guard{a}, Prefix))
	for _, route := range routes {
		route.add(a, route.operation())
	}
	a.mux.HandleFunc("GET "+openAPIPath, a.describe)
	return a
}

func challenge(audience string) string {
	text := `realm="` + oauth.SafeText(audience) + `"`
	if location, err := oauth.ResourceMetadataURL(audience); err == nil {
		text += `, resource_metadata="` + location + `"`
	}
	return text
}

func configuration() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Writ admin API", Version: "1",
				Description: "Clients, resources, roles and signing keys. Every request needs an access token of the issuer for this " +
					"API, with the scope that the operation names. Errors are problem documents (RFC 9457) that list every wrong field.",
			},
			Servers: []*huma.Server{{URL: Prefix}},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token": {Type: "http", Scheme: "bearer", BearerFormat: "at+jwt", Description: "An access token (RFC 9068). " +
						"One that is bound to a key comes with the scheme DPoP and a proof (RFC 9449)"},
				},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": strictJSON, "json": strictJSON},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// describe answers with the OpenAPI document. It depends on nothing but the code.
func (a *api) describe(w http.ResponseWriter, _ *http.Request) {
	document, err := a.document() // made for the first who asks: anybody may, without a token
	if err != nil {
		a.logger.Error("admin API: OpenAPI document", "error", err)
		writeProblem(w, refusal(http.StatusInternalServerError, "something went wrong here; the log has it"))
		return
	}
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(document)
}

// openAPI returns the OpenAPI document.
func (a *api) openAPI() ([]byte, error) {
	compact, err := a.huma.OpenAPI().MarshalJSON()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// A guard is the mux as huma sees it. A route that is not in the table has no scope, and cannot be added.
type guard struct{ *api }

func (g guard) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	for _, route := range routes {
		if pattern == route.pattern() {
			g.mux.Handle(pattern, door(route.scope, g.verifier.Require(route.scope), wellFormed(handler)))
			return
		}
	}
	panic("adminapi: " + pattern + " is not in the table of routes")
}

// ServeHTTP answers what is common to all paths.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	// ServeMux would redirect to the path it thinks was meant, and a client would send its token and body once more. One
	// spelling of a path is enough, and leaves nothing for a proxy in front to understand differently (CVE-2026-45692).
	if r.URL.RawPath != "" || path.Clean(r.URL.Path) != r.URL.Path {
		writeProblem(w, refusal(http.StatusNotFound, "no such path"))
		return
	}
	handler, pattern := a.mux.Handler(r)
	if pattern != "" {
		from := context.WithValue(r.Context(), originKey{}, a.originOf(r))
		a.mux.ServeHTTP(w, r.WithContext(from)) // again, because only so are the path's values set
		return
	}
	answer := refused{header: http.Header{}}
	handler.ServeHTTP(&answer, r)
	if answer.header.Get("Allow") != "" {
		allow := allowed(strings.TrimPrefix(r.URL.Path, Prefix))
		header.Set("Allow", allow)
		writeProblem(w, refusal(http.StatusMethodNotAllowed, "the path knows only "+allow))
		return
	}
	writeProblem(w, refusal(http.StatusNotFound, "no such path"))
}

// refused takes the mux's own answer, of which only the header is of use.
type refused struct{ header http.Header }

func (r *refused) Header() http.Header          { return r.header }
func (*refused) Write(data []byte) (int, error) { return len(data), nil }
func (*refused) WriteHeader(int)                {}

// wellFormed lets requests through whose query and content type have one meaning. A body that is not declared as JSON is
// what a form on a foreign page can send without asking (CSRF by simple request).
func wellFormed(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			writeProblem(w, refusal(http.StatusBadRequest, "the query cannot be read"))
			return
		}
		for name, values := range query {
			at := wire.FieldProblem{Location: "query." + oauth.SafeText(name), Message: "is there more than once"}
			if len(values) == 1 {
				at.Message = "is empty: leave it out"
			}
			if len(values) > 1 || values[0] == "" {
				writeProblem(w, refusal(http.StatusBadRequest, "not valid", at))
				return
			}
		}
		if r.ContentLength != 0 && !isJSON(r.Header.Values("Content-Type")) {
			writeProblem(w, refusal(http.StatusUnsupportedMediaType, "the body must be application/json"))
			return
		}
		next(w, r)
	})
}

func isJSON(values []string) bool {
	if len(values) != 1 {
		return false
	}
	kind, parameters, err := mime.ParseMediaType(values[0])
	if err != nil || kind != "application/json" {
		return false
	}
	for name, value := range parameters {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}

// An origin is where a request came from, in its context under originKey.
type origin struct{ remote, requestID string }

type originKey struct{}

// originOf returns where a request came from, the address without its port.
func (a *api) originOf(r *http.Request) origin {
	from := origin{remote: r.RemoteAddr}
	if withPort, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		from.remote = withPort.Addr().String()
	}
	if a.requestID != nil {
		from.requestID = a.requestID(r)
	}
	return from
}

// actor returns who calls.
func actor(ctx context.Context) registry.Actor {
	token := resource.FromContext(ctx)
	from, _ := ctx.Value(originKey{}).(origin)
	return registry.Actor{
		ID: token.ClientID, Scopes: token.Scope, TokenID: token.ID, Issued: token.IssuedAt, Remote: from.remote, RequestID: from.requestID,
	}
}
