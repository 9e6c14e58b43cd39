package resource

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/writ-auth/writ/oauth"
)

// refuse answers a request that is not let through (RFC 6750, 3), with all that the client may know.
func (v *Verifier) refuse(w http.ResponseWriter, r *http.Request, need rule, reason error) {
	if v.onRefusal != nil {
		v.onRefusal(r, reason)
	}
	refusal := oauth.Errorf(oauth.ServerError, "")
	var down *UnavailableError
	switch {
	case errors.Is(reason, ErrNoToken):
		refusal = oauth.Errorf("", "") // no error code when nothing was tried (RFC 6750, 3.1)
	case errors.As(reason, &down):
		refusal = oauth.Errorf(oauth.TemporarilyUnavailable, "the token cannot be judged now")
		w.Header().Set("Retry-After", retryAfter(down.RetryAfter))
	default:
		errors.As(reason, &refusal)
	}
	status := statusOf(refusal.Code)
	if status < http.StatusInternalServerError {
		w.Header().Set("WWW-Authenticate", v.challengeFor(refusal, need))
	}
	writeRefusal(w, status, refusal)
}

func statusOf(code oauth.Code) int {
	switch code {
	case "", oauth.InvalidToken:
		return http.StatusUnauthorized
	case oauth.InvalidRequest:
		return http.StatusBadRequest
	case oauth.InsufficientScope:
		return http.StatusForbidden
	case oauth.TemporarilyUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// challengeFor names each parameter once. The scope tells a client what its next token needs.
func (v *Verifier) challengeFor(refusal *oauth.Error, need rule) string {
	challenge := v.challenge
	if len(need.scopes) > 0 {
		challenge += `, scope="` + need.scopes.String() + `"`
	}
	if refusal.Code != "" {
		challenge += `, error="` + oauth.SafeText(string(refusal.Code)) + `"`
		challenge += `, error_description="` + oauth.SafeText(refusal.Description) + `"`
	}
	return challenge
}

func writeRefusal(w http.ResponseWriter, status int, refusal *oauth.Error) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	body, _ := json.Marshal(struct {
		Error       string `json:"error,omitempty"`
		Description string `json:"error_description,omitempty"`
	}{oauth.SafeText(string(refusal.Code)), oauth.SafeText(refusal.Description)})
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

func retryAfter(d time.Duration) string {
	return strconv.Itoa(int(math.Ceil(d.Seconds())))
}
