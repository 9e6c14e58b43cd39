package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/store/storetest"
	"github.com/writ-auth/writ/oauth"
)

// canaries are what must be in no output, by what they are.
type canaries map[string]string

// scan looks for them in an output, and for what they look like when they are written otherwise.
func (c canaries) scan(t *testing.T, output, text string) {
	t.Helper()
	for name, secret := range c {
		if secret == "" {
			t.Fatalf("there is no %s", name)
		}
		for _, form := range []string{secret, url.QueryEscape(secret), strings.Trim(fmt.Sprintf("%q", secret), `"`)} {
			if strings.Contains(text, form) {
				t.Errorf("OP-14 %s holds the %s", output, name)
			}
		}
	}
}

// TestOP14Canaries makes a server meet secrets in every way there is, good and bad, at every level of the log, and then looks for them
// in everything that it writes.
func TestOP14Canaries(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"debug", "info", "warn", "error"} {
		t.Run("OP-14 level "+level, func(t *testing.T) {
			t.Parallel()
			c := testConfig(t)
			c.Log.Level = level
			if level == "debug" {
				c.Database = storetest.PostgreSQL(t) // its DSN has a password
			}
			meetSecrets(t, c)
		})
	}
	t.Run("OP-14 a panic", func(t *testing.T) {
		f, log := newFront(Default().Limits)
		secret := "writ_cs_in-a-panic"
		handler := f.public(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			panic(fmt.Errorf("cannot read %s and %v", r.PostForm.Get("client_secret"), r.Header))
		}))
		address := listen(t, handler, nil, Default().Limits)
		request, err := http.NewRequest(http.MethodPost, "http://"+address+"/token?client_secret="+secret, strings.NewReader("client_secret="+secret))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth("billing", secret)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusInternalServerError || !strings.Contains(log.String(), `"panic"`) {
			t.Errorf("got %d, and the log says %s", response.StatusCode, log)
		}
		canaries{"secret": secret, "header": strings.TrimPrefix(request.Header.Get("Authorization"), "Basic ")}.scan(t, "the log", log.String())
	})
	t.Run("OP-14 no memory of the process is written to a disk", func(t *testing.T) {
		for file, says := range map[string]string{"systemd/writ.service": "LimitCORE=0", "compose/compose.yaml": "core: 0"} {
			text, err := os.ReadFile(filepath.Join("../../deploy", file))
			if err != nil || !strings.Contains(string(text), says) {
				t.Errorf("deploy/%s does not say %s: %v", file, says, err)
			}
		}
	})
}

// meetSecrets runs a server that meets secrets, and scans what it says.
func meetSecrets(t *testing.T, c Config) {
	t.Helper()
	r := start(t, c)
	client, keyed := r.newClient(t, "billing", posting), r.newKeyed(t, "keyed")
	met := canaries{"client's secret": client.Secret.Reveal(), "wrong secret": "writ_cs_wrong-and-still-nobodys-business"}
	if u, err := url.Parse(c.Database); err == nil && u.User != nil {
		met["database's password"], _ = u.User.Password()
	}
	for name, file := range map[string]string{"root key": c.rootKeyPath(), "operator's secret": filepath.Join(c.Data, "operator.json")} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		met[name] = strings.TrimSpace(string(text))
	}
	var operator Credential
	if err := json.Unmarshal([]byte(met["operator's secret"]), &operator); err != nil {
		t.Fatal(err)
	}
	met["operator's secret"] = operator.ClientSecret

	right := url.Values{"grant_type": {oauth.ClientCredentials}, "client_id": {client.ID}, "client_secret": {client.Secret.Reveal()}}
	wrong := url.Values{"grant_type": {oauth.ClientCredentials}, "client_id": {client.ID}, "client_secret": {met["wrong secret"]}}
	assertion, proof := keyed.assertion(t, r.IssuerURL()), keyed.proof(t, r.IssuerURL()+"/token")
	met["assertion"], met["proof"] = assertion.Get("client_assertion"), proof
	for _, try := range []struct {
		form  url.Values
		proof string
	}{{right, proof}, {wrong, proof}, {assertion, ""}, {assertion, "not a proof"}, {right, ""}} {
		r.ask(t, try.form, try.proof)
	}
	_, answer := r.exchange(t, right)
	token, _ := answer["access_token"].(string)
	met["token"], met["token's signature"] = token, token[strings.LastIndex(token, ".")+1:]
	for _, path := range []string{"/introspect", "/revoke", "/introspect?token=" + token, "/nowhere/" + token, "/jwks?client_secret=" + met["wrong secret"]} {
		form := url.Values{"token": {token}, "client_id": {client.ID}, "client_secret": {met["client's secret"]}}
		response, err := r.http.PostForm(r.base()+path, form)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	r.looked(t, met, refusalIn(t, r, wrong))
}

// exchange asks for a token and returns all of the answer.
func (r *running) exchange(t *testing.T, form url.Values) (int, map[string]any) {
	t.Helper()
	response, err := r.http.PostForm(r.base()+"/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// refusalIn returns the ID of a refusal.
func refusalIn(t *testing.T, r *running, form url.Values) string {
	t.Helper()
	_, answer := r.exchange(t, form)
	found := regexp.MustCompile(`refusal ([0-9a-z]{10})`).FindStringSubmatch(fmt.Sprint(answer["error_description"]))
	if found == nil {
		t.Fatalf("no ID of a refusal in %v", answer)
	}
	return found[1]
}

// looked scans everything that a server writes and tells, while it runs and when it has ended.
func (r *running) looked(t *testing.T, met canaries, refusal string) {
	t.Helper()
	explained, err := r.explain(t.Context(), refusal)
	if err != nil {
		t.Fatal(err)
	}
	met.scan(t, "writ explain", fmt.Sprintf("%+v", explained))
	for _, d := range Diagnose(t.Context(), r.config) {
		met.scan(t, "writ doctor", fmt.Sprintf("%+v", d))
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=2", "/debug/vars"} {
		status, body := r.health(t, path)
		if strings.HasPrefix(path, "/debug") && status != http.StatusNotFound {
			t.Errorf("OP-14 %s answers %d", path, status)
		}
		met.scan(t, path, body)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	met.scan(t, "the log", r.log.String())
	files, err := filepath.Glob(filepath.Join(r.config.Data, "audit", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal("there is no journal", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		met.scan(t, "the journal", string(text))
	}
}
