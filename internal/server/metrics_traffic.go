package server

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/writ-auth/writ/internal/adminapi"
	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/registry"
)

// pathMetrics is on the admin listener.
const pathMetrics = "/metrics"

// What requests are for.
const (
	onToken    = "token"
	onAsk      = "introspection"
	onRevoke   = "revocation"
	onRotate   = "rotation"
	onRegister = "registration"
	onJWKS     = "jwks"
	onMetadata = "metadata"
	onAdmin    = "admin"
	onHealth   = "health"
	onMetrics  = "metrics"
)

var (
	labelEndpoint = label{"endpoint", []string{onToken, onAsk, onRevoke, onRotate, onRegister, onJWKS, onMetadata, onAdmin, onHealth, onMetrics, other}}
	labelCode     = label{"code", []string{
		"200", "201", "204", "304", "400", "401", "403", "404", "405", "408", "409", "412", "413", "415", "422", "429", "431", "500", "503", other,
	}}
	labelListener = label{"listener", []string{"public", "mtls", "admin"}}
)

// requestBuckets are dense where a token should be: PRODUCT.md promises a p99 below 5 ms at half load.
var requestBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}

// trafficMetrics are of requests, whatever was decided about them.
type trafficMetrics struct {
	endpoints map[string]*endpointMetrics
}

type endpointMetrics struct {
	codes map[int]*series
	other *series
	took  prometheus.Observer
}

func newTrafficMetrics(m *metrics) *trafficMetrics {
	answered := m.family("writ_http_requests_total", "Requests that were answered, by what they were for and the status of the answer.", []label{labelEndpoint, labelCode})
	took := m.histograms("writ_http_request_duration_seconds", "Time from the header of a request to its answer.", labelEndpoint, requestBuckets)
	t := &trafficMetrics{endpoints: map[string]*endpointMetrics{}}
	for _, name := range labelEndpoint.values {
		e := &endpointMetrics{codes: map[int]*series{}, other: answered.series[values{name, other}], took: took[name]}
		for _, code := range labelCode.values {
			if status, err := strconv.Atoi(code); err == nil {
				e.codes[status] = answered.series[values{name, code}]
			}
		}
		t.endpoints[name] = e
	}
	return t
}

// A traffic counts the requests of one listener. The zero value and nil count nothing.
type traffic struct {
	inFlight  atomic.Int64
	exact     map[string]*endpointMetrics // by path
	behind    string                      // a prefix of paths
	prefixed  *endpointMetrics            // of all of them; nil for none
	otherwise *endpointMetrics
}

func (m *trafficMetrics) public(issuer, base string) *traffic {
	issuer, base = pathOf(issuer), pathOf(base)
	t := m.traffic(map[string]string{
		base + authority.PathToken: onToken, base + authority.PathIntrospect: onAsk, base + authority.PathRevoke: onRevoke,
		base + authority.PathSecret:    onRotate,
		issuer + registry.PathRegister: onRegister, issuer + authority.PathJWKS: onJWKS, issuer + "/.well-known/openid-configuration": onMetadata,
		"/.well-known/oauth-authorization-server" + issuer: onMetadata,
	})
	t.behind, t.prefixed = issuer+registry.PathRegister+"/", m.endpoints[onRegister]
	return t
}

func (m *trafficMetrics) private() *traffic {
	t := m.traffic(map[string]string{"/healthz": onHealth, "/readyz": onHealth, pathMetrics: onMetrics})
	t.behind, t.prefixed = adminapi.Prefix+"/", m.endpoints[onAdmin]
	return t
}

func (m *trafficMetrics) traffic(paths map[string]string) *traffic {
	t := &traffic{exact: map[string]*endpointMetrics{}, otherwise: m.endpoints[other]}
	for path, name := range paths {
		t.exact[path] = m.endpoints[name]
	}
	return t
}

func pathOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.Path, "/")
}

// begin counts a request as being answered.
func (t *traffic) begin() {
	if t != nil {
		t.inFlight.Add(1)
	}
}

// end counts its answer; status is 0 if there was none.
func (t *traffic) end(r *http.Request, status int, took time.Duration) {
	if t == nil {
		return
	}
	t.inFlight.Add(-1)
	e, known := t.exact[r.URL.Path]
	switch {
	case known:
	case t.prefixed != nil && strings.HasPrefix(r.URL.Path, t.behind):
		e = t.prefixed
	default:
		e = t.otherwise
	}
	counter, known := e.codes[status]
	if !known {
		counter = e.other
	}
	counter.n.Add(1)
	e.took.Observe(took.Seconds())
}

// named returns the listeners that there are by the names that they have in labels.
func (s *Server) named() map[string]*listener {
	all := map[string]*listener{"public": s.public, "admin": s.admin}
	if s.mtls != nil {
		all["mtls"] = s.mtls
	}
	return all
}
