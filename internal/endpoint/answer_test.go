package endpoint

import (
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"strconv"
	"testing"

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
