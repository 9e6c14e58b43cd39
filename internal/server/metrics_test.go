package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/oauth"
)

// A scrape is what /metrics tells, as the library's own parser reads it.
type scrape map[string]*dto.MetricFamily

func (r *running) scrape(t *testing.T) scrape {
	t.Helper()
	response, err := r.http.Get(r.AdminURL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/plain; version=0.0.4") {
		t.Fatalf("/metrics answered %d %s", response.StatusCode, kind)
	}
	return parseMetrics(t, response.Body)
}

func parseMetrics(t *testing.T, from io.Reader) scrape {
	t.Helper()
	text := expfmt.NewTextParser(model.LegacyValidation)
	found, err := text.TextToMetricFamilies(from)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// of returns the value of a series, or what a histogram has counted; labels are name and value in turn. It is -1 if there is
// no such series.
func (s scrape) of(name string, labels ...string) float64 {
	for _, m := range s[name].GetMetric() {
		have := map[string]string{}
		for _, l := range m.GetLabel() {
			have[l.GetName()] = l.GetValue()
		}
		want := map[string]string{}
		for i := 0; i < len(labels); i += 2 {
			want[labels[i]] = labels[i+1]
		}
		if !maps.Equal(have, want) {
			continue
		}
		switch s[name].GetType() {
		case dto.MetricType_HISTOGRAM:
			return float64(m.GetHistogram().GetSampleCount())
		case dto.MetricType_COUNTER:
			return m.GetCounter().GetValue()
		default:
			return m.GetGauge().GetValue()
		}
	}
	return -1
}

// series returns the names and labels of everything of ours.
func (s scrape) series() []string {
	var all []string
	for name, family := range s {
		for _, m := range family.GetMetric() {
			if strings.HasPrefix(name, "writ_") {
				all = append(all, fmt.Sprint(name, m.GetLabel(), len(m.GetHistogram().GetBucket())))
			}
		}
	}
	slices.Sort(all)
	return all
}

// An effect is that a metric changes by so much, or, with moves, by anything.
type effect struct {
	by     float64
	moves  bool
	name   string
	labels []string
}

func TestMetricsMove(t *testing.T) {
	t.Parallel()
	c, clock := testConfig(t), &clock{}
	ca := newAuthority(t)
	c.TLS.Certificate, c.TLS.Key = ca.files(t, "localhost")
	c.Issuer = "https://as.example"
	r := startAt(t, c, clock.now)
	r.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	good := r.newClient(t, "billing", nil)
	wrong := good
	wrong.Secret = registry.Registered{}.Secret
	opaque := "https://opaque.example"
	if _, err := r.registry.CreateResource(t.Context(), registry.System("test"), registry.ResourceSettings{
		URI: opaque, Format: store.FormatOpaque, Scopes: []registry.Scope{{Name: "read"}},
	}); err != nil {
		t.Fatal(err)
	}
	sealed := r.newClient(t, "sealed", func(m *oauth.ClientMetadata) {
		m.Grants = []oauth.Grant{{Resource: opaque, Scopes: []string{"read"}, Defaults: []string{"read"}}}
	})
	bound := r.newKeyed(t, "bound")
	issued := r.token(t, good)
	grant := url.Values{"grant_type": {"client_credentials"}}
	times := func(n int, do func()) func() {
		return func() {
			for range n {
				do()
			}
		}
	}
	post := func(path string, client registry.Registered, form url.Values) func() {
		return func() { r.post(t, path, client, form) }
	}
	one := func(name string, labels ...string) effect { return effect{1, false, name, labels} }
	moves := func(name string, labels ...string) effect { return effect{0, true, name, labels} }
	for _, step := range []struct {
		what    string
		do      func()
		effects []effect
	}{
		{"a token", post("/token", good, grant), []effect{
			one("writ_tokens_issued_total", "grant", "client_credentials", "format", "jwt", "algorithm", "ES256", "binding", "none"),
			one("writ_client_authentications_total", "method", "client_secret_basic"),
			one("writ_http_requests_total", "endpoint", "token", "code", "200"),
			one("writ_http_request_duration_seconds", "endpoint", "token"),
			moves("writ_journal_group_events"), moves("writ_journal_fsync_seconds"),
		}},
		{"an opaque token", post("/token", sealed, grant), []effect{
			one("writ_tokens_issued_total", "grant", "client_credentials", "format", "opaque", "algorithm", "XC20P", "binding", "none"),
		}},
		{"a token bound by DPoP, for an assertion", func() { r.bound(t, bound) }, []effect{
			one("writ_tokens_issued_total", "grant", "client_credentials", "format", "jwt", "algorithm", "ES256", "binding", "dpop"),
			one("writ_client_authentications_total", "method", "private_key_jwt"),
			{2, false, "writ_store_used_ids_total", nil}, // the assertion and the proof
			{2, false, "writ_store_duration_seconds", []string{"operation", "use_once"}},
		}},
		{"a scope that is not granted", post("/token", good, url.Values{"grant_type": {"client_credentials"}, "scope": {"orders:write"}}), []effect{
			one("writ_requests_refused_total", "endpoint", "token", "reason", "invalid_scope"),
			one("writ_client_authentications_total", "method", "client_secret_basic"),
			one("writ_http_requests_total", "endpoint", "token", "code", "400"),
		}},
		{"an introspection", post("/introspect", good, url.Values{"token": {issued}}), []effect{one("writ_introspections_total", "result", "active")}},
		{"a revocation", post("/revoke", good, url.Values{"token": {issued}}), []effect{
			one("writ_revocations_total", "result", "revoked"), moves("writ_store_duration_seconds", "operation", "insert"),
		}},
		{"an introspection of a revoked token", post("/introspect", good, url.Values{"token": {issued}}), []effect{one("writ_introspections_total", "result", "inactive")}},
		{"a revocation of nothing", post("/revoke", good, url.Values{"token": {"x"}}), []effect{one("writ_revocations_total", "result", "unchanged")}},
		{"guesses at a revocation", times(20, post("/revoke", wrong, url.Values{"token": {"x"}})), []effect{
			{20, false, "writ_requests_refused_total", []string{"endpoint", "revocation", "reason", "wrong_secret"}},
		}},
		{"and more of them", times(2, post("/token", wrong, grant)), []effect{
			{2, false, "writ_requests_refused_total", []string{"endpoint", "token", "reason", "too_many_failures"}},
			{2, false, "writ_requests_throttled_total", []string{"endpoint", "token"}},
			{2, false, "writ_http_requests_total", []string{"endpoint", "token", "code", "429"}},
		}},
		{"a path that is not there", func() { r.status(t, r.base()+"/made-up") }, []effect{one("writ_http_requests_total", "endpoint", "other", "code", "404")}},
		{"the key set", func() { r.status(t, r.base()+"/jwks") }, []effect{one("writ_http_requests_total", "endpoint", "jwks", "code", "200")}},
		{"the metadata", func() { r.status(t, r.base()+"/.well-known/oauth-authorization-server") }, []effect{one("writ_http_requests_total", "endpoint", "metadata", "code", "200")}},
		{"the admin API without a token", func() { r.status(t, r.AdminURL()+"/admin/v1/clients/x") }, []effect{one("writ_http_requests_total", "endpoint", "admin", "code", "401")}},
		{"a health check", func() { r.status(t, r.AdminURL()+"/healthz") }, []effect{one("writ_http_requests_total", "endpoint", "health", "code", "200")}},
		{"asking for metrics", func() {}, []effect{one("writ_http_requests_total", "endpoint", "metrics", "code", "200")}},
		{"a change", func() { r.newClient(t, "another", nil) }, []effect{moves("writ_store_generation"), moves("writ_store_duration_seconds", "operation", "update")}},
		{"a connection", func() { dial(t, r.address()) }, []effect{one("writ_http_connections", "listener", "public")}},
		{"a panic", func() { r.panics.Add(1) }, []effect{one("writ_panics_total")}},
		{"an hour", func() {
			clock.add(time.Hour)
			until(t, "the next poll", func() bool { return r.scrape(t).of("writ_ready") == 1 })
		}, []effect{moves("writ_signing_key_age_seconds", "algorithm", "ES256")}},
		{"the sweep after it", func() { _, _ = r.store.Sweep(t.Context(), clock.now()) }, []effect{moves("writ_store_swept_total")}},
		{"a rotation", func() { _, _ = r.ring.Rotate(t.Context(), "ES256", false) }, []effect{
			one("writ_keys_published"), moves("writ_signing_key_rotation_timestamp_seconds", "algorithm", "ES256"),
		}},
		{"a new certificate", func() {
			pair := r.public.certificate.current.Load()
			later := *pair
			leaf := *pair.Leaf
			leaf.NotAfter = leaf.NotAfter.Add(time.Hour)
			later.Leaf = &leaf
			r.public.certificate.current.Store(&later)
		}, []effect{{3600, false, "writ_tls_certificate_expiry_timestamp_seconds", []string{"listener", "public"}}}},
		{"a secret that expires in five days", func() {
			_, err := r.registry.AddSecret(t.Context(), registry.System("test"), good.ID, registry.SecretSettings{Expires: clock.now().Add(5 * day)}, "")
			if err != nil {
				t.Error(err)
			}
			clock.add(time.Hour) // they are not read more often than that
			if err := r.metrics.expiring.refresh(t.Context()); err != nil {
				t.Error(err)
			}
			until(t, "the next poll", func() bool { return r.scrape(t).of("writ_ready") == 1 })
		}, []effect{moves("writ_credentials_expiring", "kind", "secret", "within", "30d")}},
		{"the end", func() { r.draining.Store(true) }, []effect{{-1, false, "writ_ready", nil}}},
	} {
		before := r.scrape(t)
		step.do()
		until(t, step.what, func() bool { // what is written behind an answer is counted behind it
			after := r.scrape(t)
			return !slices.ContainsFunc(step.effects, func(e effect) bool { return !e.holds(before, after) })
		})
	}
	r.draining.Store(false)
}

func (e effect) holds(before, after scrape) bool {
	was, is := before.of(e.name, e.labels...), after.of(e.name, e.labels...)
	if e.moves {
		return is >= 0 && is != was
	}
	if e.name == "writ_http_requests_total" && slices.Contains(e.labels, "metrics") {
		return is >= was+e.by // each look is one
	}
	return was >= 0 && is == was+e.by
}

// bound gets a token with an assertion and a DPoP proof.
func (r *running) bound(t *testing.T, k keyed) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.base()+"/token", strings.NewReader(k.assertion(t, r.IssuerURL()).Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("DPoP", k.proof(t, r.IssuerURL()+"/token"))
	response, err := r.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s", response.StatusCode, body)
	}
}

func (r *running) status(t *testing.T, address string) int {
	t.Helper()
	response, err := r.http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func TestMetricsOfWhatIsAway(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	r := startAt(t, testConfig(t), clock.now)
	client := r.newClient(t, "billing", nil)
	token := r.token(t, client)
	rises := func(name string, labels ...string) {
		t.Helper()
		until(t, name, func() bool { return r.scrape(t).of(name, labels...) > 0 })
	}
	if got := r.scrape(t).of("writ_poll_age_seconds"); got < 0 || got > 20 {
		t.Errorf("a poll is %v s old", got)
	}
	if err := r.store.Close(); err != nil { // as good as a database that is away
		t.Fatal(err)
	}
	if status, _ := r.post(t, "/introspect", client, url.Values{"token": {token}}); status != http.StatusServiceUnavailable {
		t.Errorf("got %d", status)
	}
	rises("writ_requests_unavailable_total", "cause", "store")
	rises("writ_store_errors_total", "operation", "generation")
	clock.add(time.Minute)
	if got := r.scrape(t).of("writ_poll_age_seconds"); got < 60 {
		t.Errorf("a poll is %v s old after a minute without", got)
	}
	if err := r.journal.Close(); err != nil {
		t.Fatal(err)
	}
	if status, _ := r.post(t, "/token", client, url.Values{"grant_type": {"client_credentials"}}); status != http.StatusServiceUnavailable {
		t.Errorf("got %d", status)
	}
	rises("writ_requests_unavailable_total", "cause", "journal")
}

func TestMetricsOfWhatHasNoRoom(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	f, _ := newFront(Default().Limits)
	f.full = m.decisions
	f.limits.InFlight = 0
	get(t, f.public(http.NotFoundHandler()), func(*http.Request) {})
	handler := receive(1<<20, &budget{}, anything, f.full.full(causeBodies))(http.NotFoundHandler())
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(make([]byte, 64<<10))))
	found := gathered(t, m)
	for _, cause := range []string{"in_flight", "bodies"} {
		if got := found.of("writ_requests_unavailable_total", "cause", cause); got != 1 {
			t.Errorf("%s: %v", cause, got)
		}
	}

	c := testConfig(t)
	c.Limits.Connections = 16
	r := start(t, c)
	client := r.newClient(t, "billing", nil)
	for range 17 {
		dial(t, r.address())
	}
	until(t, "an idle connection makes room", func() bool {
		return r.scrape(t).of("writ_http_connections_evicted_total", "listener", "public") > 0
	})
	for range 4 {
		begin(t, r, client, 100)
	}
	if got := r.scrape(t).of("writ_http_requests_in_flight", "listener", "public"); got != 4 {
		t.Errorf("%v requests in flight, want 4", got)
	}
}

// gathered returns what metrics without a server tell.
func gathered(t *testing.T, m *metrics) scrape {
	t.Helper()
	answer := httptest.NewRecorder()
	s := &Server{metrics: m, logger: slog.New(slog.DiscardHandler)}
	s.handleMetrics(answer, nil)
	return parseMetrics(t, answer.Body)
}

// TestOP15: a flood of names that somebody made up, through the whole server, and many more through what counts.
func TestOP15(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.Log.Level = "error"
	r := start(t, c)
	r.newClient(t, "billing", nil)
	if err := r.metrics.expiring.refresh(t.Context()); err != nil { // else the loop may do it meanwhile
		t.Fatal(err)
	}
	before := r.scrape(t).series()
	for i := range 1000 {
		name := "made-up-" + strconv.Itoa(i)
		request := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader("grant_type="+name+"&client_id="+name+"&client_secret="+name+"&scope="+name))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if i%10 != 0 {
			request.Method, request.URL.Path = "MADE"+strconv.Itoa(i), "/"+name
		}
		request.RemoteAddr = fmt.Sprintf("127.0.%d.%d:1", i>>8, i&255)
		request.Header.Set("User-Agent", name)
		r.public.http.Handler.ServeHTTP(httptest.NewRecorder(), request)
		r.admin.http.Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/admin/v1/"+name, nil))
	}
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	const made = 200_000
	for i := range made {
		name := "made-up-" + strconv.Itoa(i)
		request.URL.Path = "/" + name
		r.public.traffic.begin()
		r.public.traffic.end(request, i, time.Millisecond)
		r.metrics.decisions.observe("/"+name, authority.Outcome{Method: name}, oauth.Errorf(oauth.Code(name), name))
		r.metrics.decisions.observe(authority.PathToken, authority.Outcome{Grant: name, Format: name, Algorithm: name, Binding: name}, nil)
	}
	after := r.scrape(t)
	if got := after.series(); !slices.Equal(got, before) {
		t.Errorf("OP-15 %d series before the flood, %d after it", len(before), len(got))
	}
	if len(before) > 1000 {
		t.Errorf("OP-15 there are %d series", len(before))
	}
	if got := after.of("writ_http_requests_total", "endpoint", "other", "code", "other"); got < made-1000 {
		t.Errorf("OP-15 other paths with other codes: %v", got)
	}
	if got := after.of("writ_requests_refused_total", "endpoint", "other", "reason", "other"); got < made {
		t.Errorf("OP-15 other refusals: %v", got)
	}
}

// TestReasonsAreComplete reads the source of those who give reasons.
func TestReasonsAreComplete(t *testing.T) {
	known := reasons()
	for dir, words := range map[string]*regexp.Regexp{
		"../authority": regexp.MustCompile(`\breason += "([a-z_]+)"`),
		"../pop":       regexp.MustCompile(`&Fault\{"([a-z_]+)"`),
		"../../oauth":  regexp.MustCompile(`\bCode += "([a-z_]+)"`),
	} {
		found := 0
		for name, text := range sources(t, dir) {
			for _, match := range words.FindAllStringSubmatch(text, -1) {
				found++
				if !slices.Contains(known, match[1]) {
					t.Errorf("%s: %s is not in reasons", name, match[1])
				}
			}
		}
		if found < 9 {
			t.Errorf("%s has %d words: the expression is out of date", dir, found)
		}
	}
	if slices.Sort(known); len(slices.Compact(known)) != len(reasons()) {
		t.Error("a reason stands there twice")
	}
}

// sources returns the files of a package that are no tests.
func sources(t *testing.T, dir string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	return texts
}

func TestExpiring(t *testing.T) {
	t.Parallel()
	ctx, clock := t.Context(), &clock{}
	now := clock.now()
	s := memstore.New()
	in := func(days int) time.Time { return now.Add(time.Duration(days)*24*time.Hour - time.Hour).UTC() }
	for i, c := range []store.Client{
		{Secrets: []store.Secret{{ID: "a", Expires: in(1)}, {ID: "b", Expires: in(5)}, {ID: "c"}, {ID: "d", Expires: in(-3)}}},
		{Keys: []store.ClientKey{{ID: "k", Expires: in(20)}}, Secrets: []store.Secret{{ID: "e", Expires: in(90)}}},
		{Suspended: true, Secrets: []store.Secret{{ID: "f", Expires: in(1)}}},
	} {
		c.ID, c.Name = "c"+strconv.Itoa(i), "c"+strconv.Itoa(i)
		if err := s.Clients().Insert(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	e := &expiring{registry: registry.New(registry.Options{Issuer: "https://as.example", Store: s, Now: clock.now}), store: s, now: clock.now}
	tells := func() string {
		var told []string
		e.tell(func(n float64, labels ...string) { told = append(told, fmt.Sprint(labels[0], " ", labels[1], " ", n)) })
		return strings.Join(told, ", ")
	}
	refresh := func() {
		t.Helper()
		if err := e.refresh(ctx); err != nil {
			t.Fatal(err)
		}
	}
	want := func(want string) {
		t.Helper()
		if got := tells(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	want("")
	refresh()
	want("secret 1d 1, secret 7d 2, secret 30d 2, key 1d 0, key 7d 0, key 30d 1")
	clock.add(24 * time.Hour) // the first is gone, though nobody has read anything
	want("secret 1d 0, secret 7d 1, secret 30d 1, key 1d 0, key 7d 0, key 30d 1")
	if err := s.Clients().Delete(ctx, "c0"); err != nil {
		t.Fatal(err)
	}
	refresh()
	want("secret 1d 0, secret 7d 0, secret 30d 0, key 1d 0, key 7d 0, key 30d 1")
	if err := s.Clients().Delete(ctx, "c1"); err != nil {
		t.Fatal(err)
	}
	refresh() // too soon
	want("secret 1d 0, secret 7d 0, secret 30d 0, key 1d 0, key 7d 0, key 30d 1")
	clock.add(expiringSoonest)
	refresh()
	want("secret 1d 0, secret 7d 0, secret 30d 0, key 1d 0, key 7d 0, key 30d 0")
}

func TestMetricsDocIsUpToDate(t *testing.T) {
	const path = "../../docs/metrics.md"
	r := start(t, testConfig(t))
	doc := metricsDoc(r.metrics.defined)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if committed, err := os.ReadFile(path); err != nil || string(committed) != doc {
		t.Errorf("%s is not what the code says (%v): run UPDATE=1 go test -run TestMetricsDocIsUpToDate ./internal/server", path, err)
	}
	for name, family := range r.scrape(t) {
		if !strings.HasPrefix(name, "writ_") {
			continue
		}
		i := slices.IndexFunc(r.metrics.defined, func(d definition) bool { return d.name == name })
		if i < 0 || !strings.EqualFold(r.metrics.defined[i].kind, family.GetType().String()) {
			t.Errorf("%s is a %s and not defined as one", name, family.GetType())
		}
	}
}

func TestDashboardAsksForMetricsThatThereAre(t *testing.T) {
	text, err := os.ReadFile("../../deploy/grafana/writ.json")
	if err != nil {
		t.Fatal(err)
	}
	m := start(t, testConfig(t)).metrics
	asked := regexp.MustCompile(`\bwrit_[a-z_]+`).FindAllString(string(text), -1)
	for _, name := range asked {
		base := name
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if !slices.ContainsFunc(m.defined, func(d definition) bool { return d.name == name || d.name == base && d.kind == "histogram" }) {
			t.Errorf("the dashboard asks for %s, which is not there", name)
		}
	}
	for _, d := range m.defined {
		if !slices.ContainsFunc(asked, func(name string) bool { return strings.HasPrefix(name, d.name) }) && d.name != "writ_revocations_total" {
			t.Errorf("the dashboard does not show %s", d.name)
		}
	}
}

// BenchmarkCount is what metrics add to a token request.
func BenchmarkCount(b *testing.B) {
	m := newMetrics()
	of := m.traffic.public("https://as.example", "https://as.example")
	request := httptest.NewRequest(http.MethodPost, "/token", nil)
	outcome := authority.Outcome{Method: oauth.ClientSecretBasic, Grant: oauth.ClientCredentials, Format: "jwt", Algorithm: "ES256", Binding: authority.BoundToNothing}
	b.ReportAllocs()
	for b.Loop() {
		of.begin()
		m.decisions.observe(authority.PathToken, outcome, nil)
		of.end(request, http.StatusOK, 60*time.Microsecond)
	}
}
