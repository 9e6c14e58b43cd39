package resource

import (
	"encoding/json"
	"net/http"
)

// MetadataPath is where MetadataHandler must be reachable: "/.well-known/oauth-protected-resource", followed by the path
// of the audience (RFC 9728, 3.1). Every refusal points there. It is empty for an audience that is not a URL.
func (v *Verifier) MetadataPath() string {
	if v.metadataURL == nil {
		return ""
	}
	return v.metadataURL.EscapedPath()
}

// MetadataHandler serves the description of the API for clients: its identifier, its issuer and its scopes (RFC 9728, 2).
//
//	http.Handle(verifier.MetadataPath(), verifier.MetadataHandler())
func (v *Verifier) MetadataHandler() http.Handler {
	body, err := json.Marshal(v.metadata)
	if err != nil {
		panic("resource: metadata: " + err.Error()) // strings only: it cannot
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "public, max-age=3600")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Access-Control-Allow-Origin", "*")
		_, _ = w.Write(body)
	})
}
