package server

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/writ-auth/writ/oauth"
)

// TestNetworksBehindProxies: the address that a client's networks are compared with is that of the connection, or the one that
// a named proxy has added; what a caller writes into a header itself does not bring it inside.
func TestNetworksBehindProxies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		proxies  string // trusted_proxies, if any
		networks []string
		header   http.Header
		want     int
	}{
		"no proxy, from within":                       {"", []string{"127.0.0.1"}, nil, 200},
		"no proxy, from elsewhere":                    {"", []string{"192.0.2.0/24"}, nil, 401},
		"no proxy, X-Forwarded-For":                   {"", []string{"192.0.2.0/24"}, http.Header{"X-Forwarded-For": {"192.0.2.7"}}, 401},
		"no proxy, every other header":                {"", []string{"192.0.2.0/24"}, http.Header{"Forwarded": {"for=192.0.2.7"}, "X-Real-Ip": {"192.0.2.7"}, "True-Client-Ip": {"192.0.2.7"}}, 401},
		"no proxy, X-Forwarded-For of somebody else":  {"", []string{"127.0.0.1"}, http.Header{"X-Forwarded-For": {"198.51.100.1"}}, 200},
		"another proxy, X-Forwarded-For":              {"10.0.0.0/8", []string{"192.0.2.0/24"}, http.Header{"X-Forwarded-For": {"192.0.2.7"}}, 401},
		"a proxy that reports the client":             {"127.0.0.0/8", []string{"192.0.2.0/24"}, http.Header{"X-Forwarded-For": {"192.0.2.7"}}, 200},
		"the same in the form of IPv6":                {"127.0.0.0/8", []string{"192.0.2.0/24"}, http.Header{"X-Forwarded-For": {"::ffff:192.0.2.7"}}, 200},
		"a proxy that reports another":                {"127.0.0.0/8", []string{"192.0.2.0/24"}, http.Header{"X-Forwarded-For": {"198.51.100.1"}}, 401},
		"what the caller has written stands left":     {"127.0.0.0/8", []string{"192.0.2.0/24"}, http.Header{"X-Forwarded-For": {"192.0.2.7, 198.51.100.1"}}, 401},
		"the same in two headers":                     {"127.0.0.0/8", []string{"192.0.2.0/24"}, http.Header{"X-Forwarded-For": {"192.0.2.7", "198.51.100.1"}}, 401},
		"a proxy that reports nobody":                 {"127.0.0.0/8", []string{"192.0.2.0/24"}, nil, 401},
		"a proxy does not lend its own address":       {"127.0.0.0/8", []string{"127.0.0.1"}, http.Header{"X-Forwarded-For": {"198.51.100.1"}}, 401},
		"a network of a proxy that reports nobody":    {"127.0.0.0/8", []string{"127.0.0.1"}, nil, 200},
		"a header that cannot be read is the proxy's": {"127.0.0.0/8", []string{"192.0.2.0/24"}, http.Header{"X-Forwarded-For": {"192.0.2.7, x"}}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testConfig(t)
			if test.proxies != "" {
				c.TrustedProxies = prefixes(test.proxies)
			}
			r := start(t, c)
			client := r.newClient(t, "billing", func(m *oauth.ClientMetadata) { m.Networks = test.networks })
			form := url.Values{"grant_type": {"client_credentials"}}.Encode()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.base()+"/token", strings.NewReader(form))
			if err != nil {
				t.Fatal(err)
			}
			if test.header != nil {
				request.Header = test.header
			}
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.SetBasicAuth(client.ID, client.Secret.Reveal())
			response, err := r.http.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != test.want {
				t.Errorf("got %d, want %d", response.StatusCode, test.want)
			}
		})
	}
}
