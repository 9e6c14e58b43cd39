package adminapi

import (
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// door lets a request in that has a token for the route, and makes a problem document of what the resource package answers to
// the others: its challenges stay, its body, which is OAuth's, becomes that of every other refusal of this API.
func door(scope string, require resource.Middleware, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		outside := &doorstep{ResponseWriter: w}
		require(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			outside.status = 0
			next.ServeHTTP(w, r)
		})).ServeHTTP(outside, r)
		if outside.status != 0 {
			w.Header().Del("Content-Length")
			detail := outside.detail()
			if outside.status == http.StatusForbidden {
				detail += ": " + scope
			}
			writeProblem(w, refusal(outside.status, detail))
		}
	})
}

// A doorstep keeps the answer to a request that did not come in.
type doorstep struct {
	http.ResponseWriter
	status int
	body   []byte
}

func (d *doorstep) WriteHeader(status int) { d.status = status }

func (d *doorstep) Write(data []byte) (int, error) {
	d.body = append(d.body, data...)
	return len(data), nil
}

// detail says what the body says.
func (d *doorstep) detail() string {
	var answer struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(d.body, &answer); err != nil || answer.Code == "" {
		return "this takes an access token for the admin API" // RFC 6750, 3.1: no error for who shows nothing
	}
	return oauth.SafeText(answer.Code + ": " + answer.Description)
}
