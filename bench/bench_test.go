package main

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "limit" || os.Args[1] == "api") {
		main() // as the servers of a run
		return
	}
	os.Exit(m.Run())
}

// smoke is a run with every part of a real one, and too short to mean anything.
var smoke = settings{
	name: "smoke", rounds: 1, measure: 20 * time.Millisecond, warm: 10 * time.Millisecond, connections: []int{1, 4}, busy: 4, starts: 1,
	clients: []int{10, 20, 30}, revoked: 10, issued: 50, unseen: 40, operated: 40, declared: 10,
}

// wanted are the rows that docs/performance.md has, by name, at 4 connections.
var wanted = []string{
	"es256", "es256-rfc6979", "ed25519", "rs256", "opaque", "again",
	"client_secret_post", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth", "dpop",
	"introspection", "introspection-unseen", "introspection-opaque", "resource-cached", "resource-uncached-es256", "resource-uncached-ed25519", "resource-uncached-rs256",
	"half-es256", "half-ed25519", "peer",
}

// TestBench runs the whole of it: every row has a figure, every answer was a success, and the document has all its blocks.
func TestBench(t *testing.T) {
	s := smoke
	s.out, s.source, s.progress = t.TempDir(), "..", t.Output()
	page, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	s.document = filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(s.document, page, 0o600); err != nil {
		t.Fatal(err)
	}
	s.peer = peer{url: tokenEndpoint(t, http.StatusOK), id: "someone", secret: "something", form: "scope=read", pid: os.Getpid()}
	b, err := measured(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range wanted {
		i := slices.IndexFunc(b.results, func(r result) bool { return r.name == name && r.connections == s.busy })
		if i < 0 {
			t.Errorf("there is no row %s", name)
		} else if r := b.results[i]; r.failed != nil || r.ratio <= 0 || len(r.pair.first) != 1 || len(r.pair.second) != 1 {
			t.Errorf("%s: got %+v, want a figure: %v", name, r.pair, r.failed)
		}
	}
	if want := len(wanted) + 5; len(b.results) != want {
		t.Errorf("%d rows, want %d: those, and formats and peer at 1 connection", len(b.results), want)
	}
	if len(b.growth) != 6 || b.issued == nil || b.start == nil || len(b.operated) == 0 {
		t.Errorf("growth %d, issued %v, start %v, operated %d", len(b.growth), b.issued, b.start, len(b.operated))
	}
	for _, g := range b.growth {
		if g.ratio <= 0 {
			t.Errorf("%s: no figure", g.what)
		}
	}
	if b.cluster == nil && len(b.operated) > 1 {
		t.Error("there is PostgreSQL, and nothing about nodes")
	}
	checkDocument(t, s.document)
}

// tokenEndpoint is somebody else's.
func tokenEndpoint(t *testing.T, status int) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); id != "someone" || secret != "something" || r.FormValue("scope") != "read" {
			status = http.StatusUnauthorized
		}
		w.WriteHeader(status)
		w.(http.Flusher).Flush() // in chunks, as some do
		fmt.Fprint(w, `{"access_token":"x","token_type":"Bearer"}`)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/oauth/token"
}

func checkDocument(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Measured 20", "| ES256 ", "| introspection, ES256 ", "at half load", "first start to first token", "| 30 ", "| SQLite ", "**A smoke run"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document does not have %q", want)
		}
	}
	chart, err := os.Open(strings.TrimSuffix(path, ".md") + ".svg")
	if err != nil {
		t.Fatal(err)
	}
	defer chart.Close()
	for d := xml.NewDecoder(chart); err == nil; {
		_, err = d.Token()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("the chart: %v", err)
	}
}

// TestWrongAnswers are fast, and no figures.
func TestWrongAnswers(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"refused":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"no token": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"error":"invalid_client"}`) },
		"closed":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"not created": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			fmt.Fprint(w, `{"access_token":"x"}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(handler)
			defer server.Close()
			open := openSession(tokenRequests(name, hostOf(server.URL), "/token", credential{"a", "b"}), 2)
			defer open.close()
			if _, err := open.run(t.Context(), load{connections: 2, duration: 10 * time.Second}); !errors.Is(err, errWrong) {
				t.Errorf("got %v, want %v", err, errWrong)
			}
		})
	}
}

// TestWaitingCounts: a server that stands still for a while is slow for all who would have asked meanwhile, although only
// one of them could (coordinated omission).
func TestWaitingCounts(t *testing.T) {
	const pause, rate, duration = 300 * time.Millisecond, 200, 100 * time.Millisecond
	first := make(chan bool, 1)
	first <- true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-first:
			time.Sleep(pause) // what is measured
		default:
		}
		fmt.Fprint(w, `{"access_token":"x"}`)
	}))
	defer server.Close()
	open := openSession(tokenRequests("slow", hostOf(server.URL), "/token", credential{"a", "b"}), 1)
	defer open.close()
	out, err := open.run(t.Context(), load{connections: 1, duration: duration, rate: rate})
	if err != nil {
		t.Fatal(err)
	}
	if want := int(rate * duration.Seconds()); out.requests != want {
		t.Errorf("%d requests, want %d", out.requests, want)
	}
	if fastest := out.took[0]; fastest < pause-duration {
		t.Errorf("one took only %v, and all of them waited %v at least", fastest, pause-duration)
	}
}

func TestQuantile(t *testing.T) {
	out := outcome{}
	for i := range 100 {
		out.took = append(out.took, time.Duration(i+1))
	}
	for share, want := range map[float64]time.Duration{0: 1, 0.5: 51, 0.99: 100, 1: 100} {
		if got := out.quantile(share); got != want {
			t.Errorf("%v: got %d, want %d", share, got, want)
		}
	}
}

func TestUnknownBlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.md")
	if err := os.WriteFile(path, []byte("<!-- bench:other -->\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeDocument(path, []block{{"ratios", "x"}}, nil); err == nil {
		t.Error("a document without the block was taken")
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	open := openSession(tokenRequests("x", hostOf(server.URL), "/token", credential{}), 1)
	defer open.close()
	if _, err := open.run(ctx, load{connections: 1, duration: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
