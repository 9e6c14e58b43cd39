package server

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/writ-auth/writ/oauth"
)

// A receiver is a collector of traces that keeps what it gets.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*tracepb.Span // under mu, like all below
	text  string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		var sent collector.ExportTraceServiceRequest
		if err != nil || request.URL.Path != "/v1/traces" || proto.Unmarshal(body, &sent) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.text += sent.String() + string(body)
		for _, resource := range sent.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// named returns the spans with a name.
func (r *receiver) named(name string) (some []*tracepb.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, span := range r.spans {
		if span.Name == name {
			some = append(some, span)
		}
	}
	return some
}

// startTraced starts a server that traces one request of so many.
func startTraced(t *testing.T, sample int) (*running, *receiver) {
	t.Helper()
	to, c := newReceiver(t), testConfig(t)
	c.Tracing = Tracing{Endpoint: to.URL, Sample: sample}
	return start(t, c), to
}

func TestTraces(t *testing.T) {
	t.Parallel()
	r, to := startTraced(t, 1)
	client, keyed := r.newClient(t, "billing", posting), r.newKeyed(t, "keyed")
	const caller, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	form := url.Values{"grant_type": {oauth.ClientCredentials}, "client_id": {client.ID}, "client_secret": {client.Secret.Reveal()}}
	met := canaries{"client's secret": client.Secret.Reveal()}
	request, err := http.NewRequest(http.MethodPost, r.base()+"/token?secret="+url.QueryEscape(met["client's secret"]), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Traceparent", "00-"+caller+"-"+parent+"-01")
	request.Header.Set("User-Agent", met["client's secret"])
	var ids []string
	for _, query := range []string{request.URL.RawQuery, ""} { // the first is refused for what stands in its URL
		request.URL.RawQuery = query
		request.Body = io.NopCloser(strings.NewReader(form.Encode()))
		response, err := r.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		ids = append(ids, response.Header.Get(headerRequestID))
	}
	basic := r.newClient(t, "basic", nil)
	met["basic credentials"] = base64.StdEncoding.EncodeToString([]byte(basic.ID + ":" + basic.Secret.Reveal()))
	token := r.token(t, basic)
	assertion := keyed.assertion(t, r.IssuerURL())
	r.ask(t, assertion, "")
	met["token"], met["assertion"] = token, assertion.Get("client_assertion")
	if err := r.stop(); err != nil { // sends what is left
		t.Fatal(err)
	}

	tokens := to.named("token")
	i := slices.IndexFunc(tokens, func(s *tracepb.Span) bool { return hex.EncodeToString(s.TraceId) == caller })
	if len(tokens) != 4 || i < 0 || hex.EncodeToString(tokens[i].ParentSpanId) != parent {
		t.Fatalf("%d requests are traced, want 4, and the caller's trace is continued: %v", len(tokens), i >= 0)
	}
	for _, name := range []string{"sign", "journal", "store get", "store use_once"} {
		children := to.named(name)
		if !slices.ContainsFunc(children, func(child *tracepb.Span) bool {
			return slices.ContainsFunc(tokens, func(s *tracepb.Span) bool {
				return string(s.SpanId) == string(child.ParentSpanId) && child.StartTimeUnixNano >= s.StartTimeUnixNano && child.EndTimeUnixNano <= s.EndTimeUnixNano
			})
		}) {
			t.Errorf("no request has a span %q within it", name)
		}
	}
	told := fmt.Sprint(tokens)
	for _, want := range append(ids, "writ.request_id", "http.response.status_code") {
		if !strings.Contains(told, want) {
			t.Errorf("the requests do not tell %q: %s", want, told)
		}
	}
	t.Run("OP-14 traces", func(t *testing.T) { met.scan(t, "a trace", to.text) })
}

// TestTracesAreSampled: a caller that asks for its requests to be traced gets no more of them than the others.
func TestTracesAreSampled(t *testing.T) {
	t.Parallel()
	r, to := startTraced(t, 1_000_000)
	for i := range 20 {
		request, err := http.NewRequest(http.MethodPost, r.base()+"/token", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Traceparent", fmt.Sprintf("00-4bf92f3577b34da6ffff%012x-00f067aa0ba902b7-01", i))
		response, err := r.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if got := len(to.named("token")); got != 0 {
		t.Errorf("%d requests are traced", got)
	}
}

func TestNoTracesCostNothing(t *testing.T) {
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	var off *tracing
	if fmt.Sprintf("%p", off.requests(nil)(next)) != fmt.Sprintf("%p", next) || off.step() != nil {
		t.Error("something stands in the way of a request that is not traced")
	}
	ctx, now := context.Background(), time.Now()
	if n := testing.AllocsPerRun(100, func() { off.past(ctx, "store get", now, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTracingEndpoint(t *testing.T) {
	t.Parallel()
	for endpoint, good := range map[string]bool{
		"": true, "http://127.0.0.1:4318": true, "https://collector.example/otlp": true,
		"127.0.0.1:4318": false, "ftp://collector.example": false, "https://user:secret@collector.example": false, "https://collector.example?key=secret": false,
	} {
		c := testConfig(t)
		c.Tracing.Endpoint = endpoint
		if err := c.Validate(); (err == nil) != good || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}
