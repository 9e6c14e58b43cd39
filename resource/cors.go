package resource

import (
	"net/http"
	"slices"
)

// preflight serves the web origins that may call the API (Fetch standard, 3.3). A preflight request is answered here
// and carries no token, so it never reaches a handler; it reports whether that is what r was. Without AllowedOrigins
// nothing is touched.
func (v *Verifier) preflight(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if len(v.origins) == 0 || origin == "" {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	asks := r.Header.Get("Access-Control-Request-Method")
	preflight := r.Method == http.MethodOptions && asks != ""
	if allowed := v.allowedOrigin(origin); allowed != "" {
		h.Set("Access-Control-Allow-Origin", allowed)
		if preflight {
			h.Set("Access-Control-Allow-Methods", asks) // which methods exist is the routes' business
			h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
			h.Set("Access-Control-Max-Age", "600")
		} else {
			h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After, "+nonceHeader) // (RFC 9449, 8.2)
		}
	}
	if preflight {
		w.WriteHeader(http.StatusNoContent)
	}
	return preflight
}

func (v *Verifier) allowedOrigin(origin string) string {
	switch {
	case slices.Contains(v.origins, "*"):
		return "*"
	case slices.Contains(v.origins, origin):
		return origin
	}
	return ""
}
