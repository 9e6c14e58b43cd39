package endpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/oauth"
)

// FuzzTokenAnswer holds the answer that is written by hand against that of encoding/json.
func FuzzTokenAnswer(f *testing.F) {
	f.Add("eyJ.e30.x", "Bearer", "orders:read", int64(300))
	f.Add("", "DPoP", "a<b>&\u2028\xff\"\\", int64(-1))
	f.Fuzz(func(t *testing.T, token, kind, scope string, expires int64) {
		answer := &oauth.TokenResponse{AccessToken: token, TokenType: kind, ExpiresIn: expires, Scope: scope}
		want, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		if err := writeToken(w, answer); err != nil {
			t.Fatal(err)
		}
		var gotAny, wantAny map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &gotAny); err != nil {
			t.Fatalf("%q: %v", w.Body, err)
		}
		if err := json.Unmarshal(want, &wantAny); err != nil || !reflect.DeepEqual(gotAny, wantAny) {
			t.Errorf("got  %s\nwant %s", w.Body, want)
		}
		if length := w.Header().Get("Content-Length"); length != strconv.Itoa(w.Body.Len()) {
			t.Errorf("Content-Length %s of %d bytes", length, w.Body.Len())
		}
	})
}

// TestUnavailable: what is ours is in the log, with its cause; what a flood brings about is left to who sums it up.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	for fault, want := range map[authority.Fault]struct {
		code, told int
		logged     bool
	}{
		authority.FaultOurs:     {503, 0, true},
		authority.FaultHashes:   {503, 1, false},
		authority.FaultFailures: {429, 0, false},
		authority.FaultRequests: {429, 0, false},
	} {
		var log bytes.Buffer
		answer, told := httptest.NewRecorder(), 0
		e := &endpoints{options: Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Shed: func(http.ResponseWriter) { told++ }}}
		e.fail(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/token", nil), &authority.Unavailable{RetryAfter: time.Second, Fault: fault, Cause: errors.New("the cause")})
		if answer.Code != want.code || answer.Header().Get("Retry-After") != "1" || told != want.told || strings.Contains(log.String(), "the cause") != want.logged {
			t.Errorf("%d: got %d %v, told %d times, log %q", fault, answer.Code, answer.Header(), told, log.String())
		}
	}
}
