package resource

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/writ-auth/writ/oauth"
)

// refuse answers a request that is not let through (RFC 6750, 3; RFC 9449, 7.1), with all that the client may know. The
// scheme is the request's, or "" if it had none.
func (v *Verifier) refuse(w http.ResponseWriter, r *http.Request, scheme string, need rule, reason error) {
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
	if v.requireDPoP || refusal == errDowngraded {
		scheme = oauth.DPoP // what would have worked
	}
	if status < http.StatusInternalServerError {
		v.challenges(w.Header(), scheme, refusal, need)
	}
	writeRefusal(w, status, refusal)
}

func statusOf(code oauth.Code) int {
	switch code {
	case "", oauth.InvalidToken, oauth.InvalidDPoPProof, oauth.UseDPoPNonce:
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

// challenges sets a challenge for the scheme that the client used, with the error, and, for a client that used none or
// Bearer and needs another token anyway, one that says that DPoP would work too. Each is a field of its own: many clients
// read only the first challenge of a field (RFC 9110, 11.6.1). Who uses DPoP is never invited to do without.
func (v *Verifier) challenges(h http.Header, scheme string, refusal *oauth.Error, need rule) {
	dpop := v.external != ""
	if scheme == oauth.DPoP {
		h.Set("WWW-Authenticate", v.dpopChallenge(refusal, need))
	} else {
		h.Set("WWW-Authenticate", oauth.Bearer+" "+v.challengeFor(refusal, need))
		dpop = dpop && statusOf(refusal.Code) == http.StatusUnauthorized
		if dpop {
			h.Add("WWW-Authenticate", v.dpopChallenge(&oauth.Error{}, need))
		}
	}
	if dpop && v.nonces != nil {
		h.Set(nonceHeader, v.nonces.Current())
	}
}

func (v *Verifier) dpopChallenge(refusal *oauth.Error, need rule) string {
	return oauth.DPoP + " " + v.challengeFor(refusal, need) + `, algs="` + strings.Join(v.dpopAlgorithms, " ") + `"`
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
