// Package endpoint puts the authority on HTTP: the token, introspection and revocation endpoints, the key set and the
// metadata document. It parses strictly, writes the exact headers, and decides nothing.
package endpoint

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// Options of the endpoints. The zero value works.
type Options struct {
	Logger    *slog.Logger                       // for errors that are ours; nil discards them
	RequestID func(r *http.Request) string       // what the request is called in log and journal; nil means nothing
	Metadata  func(document *oauth.Metadata) any // adds to the metadata document; nil leaves it as it is
	// Base is what the URLs of these endpoints begin with as callers know them, and a DPoP proof must name; "" is the issuer.
	// Endpoints of one issuer may be served at several, such as one that asks for certificates (RFC 8705, 5).
	Base string
	// Certificates returns the chain whose first key the client has proved to hold; nil means that there never is one. An
	// error means that it cannot be told which: such a request is refused as invalid_client.
	Certificates func(r *http.Request) ([]*x509.Certificate, error)
	// Registry lets clients register themselves (RFC 7591, 7592), where Base is the issuer; nil: nobody does.
	Registry *registry.Registry
	// Observe hears what came of each request that was decided about, and the error if it was refused. path is one of
	// authority.PathToken, PathIntrospect, PathRevoke and PathSecret, and registry.PathRegister. nil: nobody does. It is called by
	// many goroutines at once.
	Observe func(path string, outcome authority.Outcome, err error)
	// Shed hears that an answer is one of many that say there is too much to hash; the log has none of them. nil: nobody does.
	Shed func(w http.ResponseWriter)
	// RotateSecret makes the next secret of a client that has authenticated with the one before, and returns the answer; errors
	// are as for authority.RotateSecret. nil: there is no such endpoint.
	RotateSecret func(ctx context.Context, wish authority.SecretRotation) (answer any, err error)
}

// JWKSMaxAge is how long the key set may be cached. A key is announced for longer than that before it signs.
const JWKSMaxAge = 5 * time.Minute

type endpoints struct {
	authority *authority.Authority
	options   Options
	urls      map[string]string // of the endpoints that decide, as callers know them, by path
}

// A route is what one path does. Paths are compared byte by byte, as they were sent: there is no cleaning, no redirect
// (a POST answered with 307 is sent again, secret included) and no second spelling that a proxy's rule might miss.
type route struct {
	methods []string
	handle  func(w http.ResponseWriter, r *http.Request) error
}

// New returns the handler of the issuer's endpoints. Anything else is 404.
func New(a *authority.Authority, options Options) http.Handler {
	e := &endpoints{authority: a, options: options, urls: map[string]string{}}
	registers := options.Registry != nil && options.Base == ""
	if e.options.Base == "" {
		e.options.Base = a.Issuer()
	}
	e.options.Base = strings.TrimSuffix(e.options.Base, "/")
	for _, path := range []string{authority.PathToken, authority.PathIntrospect, authority.PathRevoke, authority.PathSecret} {
		e.urls[path] = e.options.Base + path
	}
	if e.options.Logger == nil {
		e.options.Logger = slog.New(slog.DiscardHandler)
	}
	get, post := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	base, issuer := pathOf(e.options.Base), pathOf(a.Issuer())
	document := e.metadata()
	routes := map[string]route{
		base + authority.PathToken:                         {post, e.token},
		base + authority.PathIntrospect:                    {post, e.introspect},
		base + authority.PathRevoke:                        {post, e.revoke},
		base + authority.PathSecret:                        {post, e.rotateSecret},
		issuer + authority.PathJWKS:                        {get, e.jwks},
		"/.well-known/oauth-authorization-server" + issuer: {get, document}, // RFC 8414, 3.1: in front of the issuer's path
		issuer + "/.well-known/openid-configuration":       {get, document}, // for libraries that know only this place
	}
	if !e.rotates() {
		delete(routes, base+authority.PathSecret)
	}
	if registers {
		routes[base+registry.PathRegister] = route{post, e.register}
	}
	registrations := base + registry.PathRegister + "/"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		route, found := routes[r.URL.Path]
		if !found && registers {
			if id, of := strings.CutPrefix(r.URL.Path, registrations); of && id != "" && !strings.Contains(id, "/") {
				route, found = e.registration(id), true
			}
		}
		if !found || r.URL.EscapedPath() != r.URL.Path {
			e.fail(w, r, &status{code: http.StatusNotFound, err: oauth.Errorf(oauth.InvalidRequest, "there is nothing here")})
			return
		}
		if !slices.Contains(route.methods, r.Method) {
			w.Header().Set("Allow", strings.Join(route.methods, ", "))
			e.fail(w, r, &status{code: http.StatusMethodNotAllowed, err: oauth.Errorf(oauth.InvalidRequest, "this method is not allowed here")})
			return
		}
		if err := route.handle(w, r); err != nil {
			e.fail(w, r, err)
		}
	})
}

// pathOf returns what stands in front of the paths of a base URL's endpoints.
func pathOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.Path, "/")
}

// The values of headers that many answers have. Nobody changes them: to set a header is to put another list in the place of its own,
// and there is no room behind one to add to.
var (
	noSniff         = []string{"nosniff"}
	noReferrer      = []string{"no-referrer"}
	noStore         = []string{"no-store"}
	noCache         = []string{"no-cache"}
	applicationJSON = []string{"application/json"}
)

// secure sets the headers that every answer has. The names are as net/http keeps them.
func secure(header http.Header) {
	header["X-Content-Type-Options"] = noSniff
	header["Referrer-Policy"] = noReferrer
	header["Cache-Control"] = noStore
	header["Pragma"] = noCache
}

func (e *endpoints) request(w http.ResponseWriter, r *http.Request, path string) *authority.Request {
	form, err := parseForm(w, r)
	request := &authority.Request{
		Form: form, Authorization: r.Header["Authorization"], DPoP: r.Header["Dpop"],
		URL: e.urls[path], Remote: r.RemoteAddr, Malformed: err,
	}
	if agents := r.Header["User-Agent"]; len(agents) > 0 {
		request.Agent = agents[0]
	}
	if e.options.RequestID != nil {
		request.ID = e.options.RequestID(r)
	}
	if e.options.Certificates != nil {
		request.Certificates, request.Uncertain = e.options.Certificates(r)
	}
	return request
}

func (e *endpoints) observe(path string, request *authority.Request, err error) {
	if e.options.Observe != nil {
		e.options.Observe(path, request.Outcome, err)
	}
}

func (e *endpoints) token(w http.ResponseWriter, r *http.Request) error {
	request := e.request(w, r, authority.PathToken)
	// Whoever sends proofs hears of the next nonce before the last one is refused (RFC 9449, 8.2). There is no CORS here, so
	// that no header needs to be exposed.
	if nonce := e.authority.Nonce(); nonce != "" && len(request.DPoP) > 0 {
		w.Header().Set("DPoP-Nonce", nonce)
	}
	answer, err := e.authority.Token(r.Context(), request)
	e.observe(authority.PathToken, request, err)
	if err != nil {
		return err
	}
	return writeToken(w, answer)
}

// mediaSignedIntrospection asks for an introspection answer as a JWT (RFC 9701, 4).
const mediaSignedIntrospection = "application/" + oauth.TypeIntrospection

func (e *endpoints) introspect(w http.ResponseWriter, r *http.Request) error {
	request := e.request(w, r, authority.PathIntrospect)
	if !accepts(r, mediaSignedIntrospection) {
		answer, err := e.authority.Introspect(r.Context(), request)
		e.observe(authority.PathIntrospect, request, err)
		if err != nil {
			return err
		}
		return write(w, http.StatusOK, answer)
	}
	signed, err := e.authority.IntrospectSigned(r.Context(), request)
	e.observe(authority.PathIntrospect, request, err)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaSignedIntrospection)
	_, _ = w.Write([]byte(signed)) // a caller who has gone away is no error of ours
	return nil
}

func (e *endpoints) revoke(w http.ResponseWriter, r *http.Request) error {
	request := e.request(w, r, authority.PathRevoke)
	err := e.authority.Revoke(r.Context(), request)
	e.observe(authority.PathRevoke, request, err)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}

// rotates reports whether clients can rotate their secrets: where none is accepted, there is no endpoint.
func (e *endpoints) rotates() bool {
	return e.options.RotateSecret != nil && e.authority.RotatesSecrets()
}

func (e *endpoints) rotateSecret(w http.ResponseWriter, r *http.Request) error {
	request := e.request(w, r, authority.PathSecret)
	var answer any
	err := e.authority.RotateSecret(r.Context(), request, func(ctx context.Context, wish authority.SecretRotation) (err error) {
		answer, err = e.options.RotateSecret(ctx, wish)
		return err
	})
	e.observe(authority.PathSecret, request, err)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, answer)
}

func (e *endpoints) jwks(w http.ResponseWriter, r *http.Request) error {
	body, etag := e.authority.JWKS()
	return public(w, r, "application/jwk-set+json", body, etag, JWKSMaxAge)
}

// metadata writes the document once: nothing in a request changes it, least of all its Host (OP-20).
func (e *endpoints) metadata() func(w http.ResponseWriter, r *http.Request) error {
	described := e.authority.Metadata()
	if e.rotates() {
		described.ClientSecretRotationEndpoint = strings.TrimSuffix(e.authority.Issuer(), "/") + authority.PathSecret
	}
	if e.options.Registry != nil {
		described.RegistrationEndpoint = strings.TrimSuffix(e.authority.Issuer(), "/") + registry.PathRegister
	}
	var document any = described
	if e.options.Metadata != nil {
		document = e.options.Metadata(described)
	}
	body, err := json.Marshal(document)
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	return func(w http.ResponseWriter, r *http.Request) error {
		if err != nil {
			return fmt.Errorf("endpoint: metadata: %w", err)
		}
		return public(w, r, "application/json", body, etag, time.Hour)
	}
}

// public writes a document that anyone may read and keep.
func public(w http.ResponseWriter, r *http.Request, contentType string, body []byte, etag string, maxAge time.Duration) error {
	header := w.Header()
	header.Del("Pragma")
	header.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(maxAge/time.Second)))
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("ETag", etag)
	if slices.ContainsFunc(strings.Split(r.Header.Get("If-None-Match"), ","), func(tag string) bool {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		return tag == etag || tag == "*"
	}) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a caller who has gone away is no error of ours
	return nil
}

// accepts reports whether a request names a media type as one that it takes (RFC 9110, 12.5.1).
func accepts(r *http.Request, mediaType string) bool {
	for _, value := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(value, ",") {
			name, parameters, err := mime.ParseMediaType(part)
			if err != nil || name != mediaType {
				continue
			}
			quality, err := strconv.ParseFloat(parameters["q"], 64)
			return err != nil || quality > 0
		}
	}
	return false
}

func write(w http.ResponseWriter, code int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	send(w, code, data)
	return nil
}

func send(w http.ResponseWriter, code int, data []byte) {
	header := w.Header()
	header["Content-Type"] = applicationJSON
	header["Content-Length"] = []string{strconv.Itoa(len(data))}
	w.WriteHeader(code)
	_, _ = w.Write(data) // a caller who has gone away is no error of ours
}

// writeToken writes the answer with a token (RFC 6749, 5.1), as write would: by hand, because a reflecting encoder takes as
// long as parsing the request.
func writeToken(w http.ResponseWriter, answer *oauth.TokenResponse) error {
	room := answers.Get().(*[]byte)
	defer answers.Put(room)
	data := appendAnswer((*room)[:0], answer)
	*room = data
	send(w, http.StatusOK, data)
	return nil
}

// answers are buffers for answers with a token. What writes them has copied them when it returns.
var answers = sync.Pool{New: func() any { return new([]byte) }}

func appendAnswer(data []byte, answer *oauth.TokenResponse) []byte {
	data = appendText(append(data, `{"access_token":`...), answer.AccessToken)
	data = appendText(append(data, `,"token_type":`...), answer.TokenType)
	data = strconv.AppendInt(append(data, `,"expires_in":`...), answer.ExpiresIn, 10)
	if answer.Scope != "" {
		data = appendText(append(data, `,"scope":`...), answer.Scope)
	}
	return append(data, '}')
}

// appendText appends a JSON string.
func appendText(data []byte, text string) []byte {
	if plain(text) {
		return append(append(append(data, '"'), text...), '"')
	}
	data, _ = jsontext.AppendQuote(data, text) // the error is of bytes that are not UTF-8; they are replaced
	return data
}

// plain reports whether a text needs no escape, as no token does: to copy it whole takes a third of the time.
func plain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// A status is a refusal that HTTP has a code of its own for.
type status struct {
	code int
	err  *oauth.Error
}

func (s *status) Error() string { return s.err.Error() }
func (s *status) Unwrap() error { return s.err }

// fail answers with an error. What another party may see is an *oauth.Error; everything else is ours: it is logged with
// the request's ID, and the caller hears server_error.
func (e *endpoints) fail(w http.ResponseWriter, r *http.Request, err error) {
	code, answer := http.StatusBadRequest, (*oauth.Error)(nil)
	var known *status
	var busy *authority.Unavailable
	switch {
	case errors.As(err, &known):
		code, answer = known.code, known.err
	case errors.As(err, &busy):
		code, answer = e.unavailable(w, r, busy)
	case errors.As(err, &answer):
		if answer.Code == oauth.InvalidClient {
			code = http.StatusUnauthorized
			w.Header().Set("WWW-Authenticate", `Basic realm="`+oauth.SafeText(e.authority.Issuer())+`"`)
		}
	default:
		e.log(r, err)
		code, answer = http.StatusInternalServerError, oauth.Errorf(oauth.ServerError, "something went wrong here; the log has it")
	}
	body := struct {
		Error       oauth.Code `json:"error"`
		Description string     `json:"error_description,omitempty"`
	}{answer.Code, oauth.SafeText(answer.Description) + named(w, err)}
	if err := write(w, code, body); err != nil {
		e.log(r, err)
	}
}

func (e *endpoints) unavailable(w http.ResponseWriter, r *http.Request, busy *authority.Unavailable) (int, *oauth.Error) {
	seconds := max(1, int((busy.RetryAfter+time.Second-1)/time.Second))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	switch busy.Fault {
	case authority.FaultFailures:
		return http.StatusTooManyRequests, oauth.Errorf(oauth.TemporarilyUnavailable, "too many failed attempts; try again later")
	case authority.FaultRequests:
		return http.StatusTooManyRequests, oauth.Errorf(oauth.TemporarilyUnavailable, "too many requests of this client; keep a token until it expires")
	case authority.FaultRegistrations:
		return http.StatusTooManyRequests, oauth.Errorf(oauth.TemporarilyUnavailable, "too many requests; try again later")
	case authority.FaultHashes: // a flood writes no line for each
		if e.options.Shed != nil {
			e.options.Shed(w)
		}
	case authority.FaultOurs:
		e.log(r, busy)
	}
	return http.StatusServiceUnavailable, oauth.Errorf(oauth.TemporarilyUnavailable, "the server cannot answer now; try again later")
}

func (e *endpoints) log(r *http.Request, err error) {
	id := ""
	if e.options.RequestID != nil {
		id = e.options.RequestID(r)
	}
	e.options.Logger.Error("request failed", "path", r.URL.Path, "request_id", id, "error", err)
}
