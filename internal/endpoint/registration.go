package endpoint

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// What came of a visit, for who counts.
const (
	resultRegistered = "registered"
	resultRead       = "read"
	resultUpdated    = "updated"
	resultDeleted    = "deleted"
)

// A decision is what registry makes of a visit.
type decision struct {
	status int
	result string
	make   func(ctx context.Context, visit registry.Visit) (registry.ClientInformation, error)
}

// register is the client registration endpoint (RFC 7591, 3).
func (e *endpoints) register(w http.ResponseWriter, r *http.Request) error {
	return e.visited(w, r, "", decision{http.StatusCreated, resultRegistered, e.options.Registry.Register})
}

// registration is the client configuration endpoint of one client, or of none (RFC 7592, 2).
func (e *endpoints) registration(id string) route {
	reg := e.options.Registry
	decisions := map[string]decision{
		http.MethodGet: {http.StatusOK, resultRead, func(ctx context.Context, visit registry.Visit) (registry.ClientInformation, error) {
			return reg.Registration(ctx, id, visit)
		}},
		http.MethodPut: {http.StatusOK, resultUpdated, func(ctx context.Context, visit registry.Visit) (registry.ClientInformation, error) {
			return reg.UpdateRegistration(ctx, id, visit)
		}},
		http.MethodDelete: {http.StatusNoContent, resultDeleted, func(ctx context.Context, visit registry.Visit) (registry.ClientInformation, error) {
			return nil, reg.EndRegistration(ctx, id, visit)
		}},
	}
	methods := []string{http.MethodGet, http.MethodPut, http.MethodDelete}
	return route{methods, func(w http.ResponseWriter, r *http.Request) error { return e.visited(w, r, id, decisions[r.Method]) }}
}

// visited answers a visitor. The token counts before the body: whoever has none learns nothing of what would be accepted.
func (e *endpoints) visited(w http.ResponseWriter, r *http.Request, id string, d decision) error {
	visitor := authority.Visitor{ClientID: id, Remote: r.RemoteAddr, Presented: []string{"request: " + r.Method}}
	if e.options.RequestID != nil {
		visitor.RequestID = e.options.RequestID(r)
	}
	answer, err := e.decide(w, r, visitor, d)
	if err != nil {
		err = e.refuseVisit(w, visitor, err)
	}
	if e.options.Observe != nil {
		e.options.Observe(registry.PathRegister, authority.Outcome{Result: d.result}, err)
	}
	switch {
	case err != nil:
		return err
	case d.status == http.StatusNoContent:
		w.WriteHeader(d.status)
		return nil
	}
	return write(w, d.status, answer)
}

// errNoToken is the answer to who presents no token: the challenge names no error then (RFC 6750, 3.1).
var errNoToken = oauth.Errorf(oauth.InvalidToken, "a token is needed here, as Authorization: Bearer TOKEN")

func (e *endpoints) decide(w http.ResponseWriter, r *http.Request, visitor authority.Visitor, d decision) (registry.ClientInformation, error) {
	if err := e.authority.AdmitVisitor(visitor); err != nil {
		return nil, err
	}
	if err := checkQuery(r.URL.RawQuery); err != nil {
		return nil, err
	}
	token, err := bearer(r.Header.Values("Authorization"))
	if err != nil {
		return nil, err
	}
	visit := registry.Visit{Token: token, Remote: r.RemoteAddr, RequestID: visitor.RequestID, Admit: e.authority.AdmitInitialToken}
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		visit.Body, visit.Malformed = readJSON(w, r)
	}
	return d.make(r.Context(), visit)
}

// bearer returns the bearer token of a request (RFC 6750, 2.1), the one place where a token may stand.
func bearer(values []string) (string, error) {
	if len(values) > 1 {
		return "", oauth.Errorf(oauth.InvalidRequest, "more than one Authorization header")
	}
	scheme, token, _ := strings.Cut(strings.Join(values, ""), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, oauth.Bearer) || token == "" {
		return "", errNoToken
	}
	return token, nil
}

// readJSON reads what a visitor says of its client. What is wrong with it is registry's to find.
func readJSON(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if !isOf(r.Header.Values("Content-Type"), "application/json") {
		return nil, oauth.Errorf(oauth.InvalidClientMetadata, "the Content-Type must be application/json, in UTF-8")
	}
	return readBody(w, r)
}

// refuseVisit has a refusal put down, with the challenge that belongs to it.
func (e *endpoints) refuseVisit(w http.ResponseWriter, visitor authority.Visitor, err error) error {
	realm := oauth.Bearer + ` realm="` + oauth.SafeText(e.authority.Issuer()) + `"`
	known, guessing, why := (*registry.Refused)(nil), false, ""
	var answer *oauth.Error
	var busy *authority.Unavailable
	switch {
	case errors.Is(err, errNoToken):
		w.Header().Set("WWW-Authenticate", realm)
		why, err = authority.NoRegistrationToken, &status{http.StatusUnauthorized, errNoToken}
	case errors.As(err, &known):
		why, guessing, err = known.Why, known.Guessing, known.Answer
		if known.Initial != "" {
			visitor.Presented = append(visitor.Presented, "initial access token: "+known.Initial)
		}
		if known.Answer.Code == oauth.InvalidToken {
			w.Header().Set("WWW-Authenticate", realm+`, error="`+string(oauth.InvalidToken)+`", error_description="`+oauth.SafeText(known.Answer.Description)+`"`)
			err = &status{http.StatusUnauthorized, known.Answer}
		}
	case errors.As(err, &busy), errors.As(err, &answer):
	default: // the store could not answer
		err = &authority.Unavailable{RetryAfter: time.Second, Cause: err}
	}
	return e.authority.RefuseVisitor(visitor, why, guessing, err)
}
