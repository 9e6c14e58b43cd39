package remotekeys_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/writ-auth/writ/internal/remotekeys"
)

func TestSize(t *testing.T) {
	padded := func(size int) []byte {
		body := published("a")
		return append(body, bytes.Repeat([]byte{' '}, size-len(body))...)
	}
	h := newHost(t, answer(padded(256<<10)))
	expectKeys(t, h.cache(t, nil), uri, "a")
	t.Run("RG-20 256 KiB and a byte", func(t *testing.T) {
		h.serves(padded(256<<10 + 1))
		expectFailure(t, h.cache(t, nil), uri, "has an answer of more than 256 KiB")
	})
	t.Run("RG-20 a body without end", func(t *testing.T) {
		var sent atomic.Int64
		endless := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for err := error(nil); err == nil; {
				_, err = w.Write(make([]byte, 64<<10))
				sent.Add(64 << 10)
			}
		})
		h.handler.Store(&endless)
		expectFailure(t, h.cache(t, nil), uri, "has an answer of more than 256 KiB")
		if got := sent.Load(); got > 32<<20 { // what sockets hold is a part of that
			t.Errorf("%d MiB were taken of it", got>>20)
		}
	})
	t.Run("RG-20 a body that says it is larger", func(t *testing.T) {
		h.serves(published("a"), "Content-Length", "1000000000000")
		expectFailure(t, h.cache(t, nil), uri, "is not answered in HTTP")
	})
	t.Run("RG-20 gzip bomb", func(t *testing.T) {
		var bomb bytes.Buffer
		z := gzip.NewWriter(&bomb)
		_, _ = z.Write(padded(4 << 20))
		_ = z.Close()
		h.serves(bomb.Bytes(), "Content-Encoding", "gzip")
		expectFailure(t, h.cache(t, nil), uri, "has a compressed answer")
	})
	t.Run("RG-20 a header without end", func(t *testing.T) {
		h.serves(published("a"), "X-Padding", strings.Repeat("a", 1<<20))
		expectFailure(t, h.cache(t, nil), uri, "is not answered in HTTP")
	})
}

func TestRequest(t *testing.T) {
	asked := make(chan http.Header, 2)
	h := newHost(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header
		w.Header().Set("Set-Cookie", "a=b; Secure")
		_, _ = w.Write(published("a"))
	})
	c := h.cache(t, nil)
	expectKeys(t, c, uri, "a")
	if !c.Renew(t.Context(), uri) {
		t.Error("not renewed")
	}
	for range 2 {
		if got := <-asked; got.Get("Accept-Encoding") != "identity" || got.Get("Cookie") != "" || got.Get("Authorization") != "" {
			t.Errorf("header is %v, want no cookie and nothing compressed", got)
		}
	}
}

// TestRG21: a body is taken for what is in it, key by key.
func TestRG21(t *testing.T) {
	good := keyObject("good", nil)
	h := newHost(t, nil)
	for name, c := range map[string]struct {
		keys []map[string]any
		want []string
	}{
		"RG-21 use enc":                 {[]map[string]any{keyObject("a", map[string]any{"use": "enc"}), good}, []string{"good"}},
		"RG-21 key_ops without verify":  {[]map[string]any{keyObject("a", map[string]any{"use": nil, "key_ops": []string{"sign"}}), good}, []string{"good"}},
		"RG-21 unknown kty":             {[]map[string]any{{"kty": "XYZ", "kid": "a"}, good}, []string{"good"}},
		"RG-21 symmetric":               {[]map[string]any{{"kty": "oct", "kid": "a", "k": "c2VjcmV0", "alg": "HS256"}, good}, []string{"good"}},
		"RG-21 algorithm of other keys": {[]map[string]any{keyObject("a", map[string]any{"alg": "RS256"}), good}, []string{"good"}},
	} {
		t.Run(name, func(t *testing.T) {
			h.serves(must(json.Marshal(map[string]any{"keys": c.keys})))
			expectKeys(t, h.cache(t, nil), uri, c.want...)
			h.serves(must(json.Marshal(map[string]any{"keys": c.keys[:1]})))
			expectFailure(t, h.cache(t, nil), uri, "has no key that can verify a signature")
		})
	}
	t.Run("RG-21 Content-Type text/html", func(t *testing.T) {
		h.serves(published("a"), "Content-Type", "text/html")
		expectKeys(t, h.cache(t, nil), uri, "a")
	})
	for name, body := range map[string]string{
		"RG-21 JSON array": `[{"kty":"EC"}]`, "RG-21 no keys": `{}`, "RG-21 keys are no array": `{"keys":{}}`, "RG-21 HTML": "<html>", "RG-21 nothing": "",
		"RG-21 keys twice": `{"keys":[],"keys":[]}`, "RG-21 nested too deep": `{"keys":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`,
		"RG-21 33 keys": `{"keys":[` + strings.TrimSuffix(strings.Repeat(`{"kty":"XYZ"},`, 33), ",") + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			h.serves([]byte(body), "Content-Type", "application/jwk-set+json")
			expectFailure(t, h.cache(t, nil), uri, "has an answer that is not a JWK Set")
		})
	}
}

// keyObject is a good key as a JSON object, with members changed.
func keyObject(id string, change map[string]any) map[string]any {
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(published(id), &set); err != nil {
		panic(err)
	}
	for name, value := range change {
		set.Keys[0][name] = value
		if value == nil {
			delete(set.Keys[0], name)
		}
	}
	return set.Keys[0]
}

// TestRG24: what a host answers, and where it is, does not come back to whoever chose it.
func TestRG24(t *testing.T) {
	const secret = "internal-secret-7e1f"
	h := newHost(t, nil)
	for name, handler := range map[string]http.HandlerFunc{
		"RG-24 body of an error":        func(w http.ResponseWriter, _ *http.Request) { http.Error(w, secret, http.StatusInternalServerError) },
		"RG-24 body that is no key set": answer([]byte(`{"` + secret + `":1,"` + secret + `":2}`)),
		"RG-24 header":                  answer([]byte("x"), "Content-Encoding", secret),
		"RG-24 reason phrase":           hijacked("HTTP/1.1 404 " + secret + "\r\nContent-Length: 0\r\n\r\n"),
		"RG-24 no HTTP":                 hijacked(secret + "\r\n\r\n"),
		"RG-24 redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://10.9.8.7/"+secret, http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h.handler.Store(&handler)
			var log lines
			c := h.cache(t, func(o *remotekeys.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			_, err := c.Keys(t.Context(), uri)
			c.Renew(t.Context(), uri)
			if said := log.String() + " " + errorText(err); err == nil || strings.Contains(said, secret) || strings.Contains(said, "10.9.8.7") {
				t.Errorf("said %q", said)
			}
		})
	}
	t.Run("RG-24 address inside", func(t *testing.T) {
		var log lines
		c := h.cache(t, func(o *remotekeys.Options) {
			o.Logger, o.Resolver = slog.New(slog.NewTextHandler(&log, nil)), newNameServer(t, []string{"10.9.8.7"}).resolver()
		})
		_, err := c.Keys(t.Context(), "https://"+name+"/")
		c.Close()
		if said := log.String() + " " + errorText(err); err == nil || strings.Contains(said, "10.9.8.7") {
			t.Errorf("said %q", said)
		}
	})
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// hijacked answers with these bytes, HTTP or not.
func hijacked(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = conn.Write([]byte(text))
		_ = conn.Close()
	}
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.text.String() }
