package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/oauth"
)

// diagnosis returns what was found of a check.
func diagnosis(t *testing.T, all []Diagnosis, check string) Diagnosis {
	t.Helper()
	i := slices.IndexFunc(all, func(d Diagnosis) bool { return d.Check == check })
	if i < 0 {
		t.Fatalf("nothing is told of %s: %+v", check, all)
	}
	return all[i]
}

func wantDiagnosis(t *testing.T, all []Diagnosis, check, state, text string) {
	t.Helper()
	got := diagnosis(t, all, check)
	if got.State != state || !strings.Contains(got.Text, text) {
		t.Errorf("%s: got %s, %q, want %s, %q", check, got.State, got.Text, state, text)
	}
	if !got.Healthy() && got.Remedy == "" {
		t.Errorf("%s: nothing is told that mends %q", check, got.Text)
	}
}

// TestDiagnose looks at a server that runs, and then at what is broken of it.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	r := start(t, config)
	r.newClient(t, "billing", nil)
	for _, d := range Diagnose(t.Context(), config) {
		if d.State != DiagnosisOK && d.Check != "disk" { // of which this machine may have little
			t.Errorf("%+v", d)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	journal, err := filepath.Glob(filepath.Join(config.Data, "audit", "*.jsonl"))
	if err != nil || len(journal) == 0 {
		t.Fatal("there is no journal", err)
	}
	for path, mode := range map[string]os.FileMode{config.Data: 0o755, filepath.Join(config.Data, "operator.json"): 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(journal[0], []byte("{}\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(config.Data, "root.key")); err != nil {
		t.Fatal(err)
	}
	found := Diagnose(t.Context(), config)
	wantDiagnosis(t, found, "data directory", DiagnosisFailed, "others can look into")
	wantDiagnosis(t, found, "operator", DiagnosisFailed, "others can read")
	wantDiagnosis(t, found, "root key", DiagnosisFailed, "is not there")
	wantDiagnosis(t, found, "journal", DiagnosisFailed, "the chain does not hold")
	wantDiagnosis(t, found, "issuer", DiagnosisFailed, "refused")
	wantDiagnosis(t, found, "clock", DiagnosisSkipped, "")
}

// TestDiagnoseNothing: where no server ever was, the first start is what mends it.
func TestDiagnoseNothing(t *testing.T) {
	t.Parallel()
	found := Diagnose(t.Context(), testConfig(t))
	for _, check := range []string{"data directory", "root key", "journal", "database", "issuer"} {
		wantDiagnosis(t, found, check, DiagnosisFailed, "")
	}
}

// TestDiagnoseExpiry: a credential is told of 30, 7 and 1 days before it ends, unless a rotation has given it its end and nobody uses
// it any more.
func TestDiagnoseExpiry(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	n := 0
	secret := func(left time.Duration) store.Secret {
		n++
		return store.Secret{ID: fmt.Sprint("s", n), Hash: "sha256:x", Expires: now.Add(left)}
	}
	good := store.Secret{ID: "good", Hash: "sha256:x"}
	rotated := func(ago time.Duration) store.Secret {
		return store.Secret{ID: "old", Hash: "sha256:x", Rotated: now.Add(-ago), Expires: now.Add(day)}
	}
	key := store.ClientKey{ID: "k", Algorithm: "ES256", Public: []byte("x")}
	ending := key
	ending.Expires = now.Add(3 * day)
	for _, test := range []struct {
		name, state, text string
		client            store.Client
		used              time.Duration // how long ago the secret old was
	}{
		{name: "for ever", client: store.Client{Secrets: []store.Secret{good}}},
		{name: "in 31 days", client: store.Client{Secrets: []store.Secret{secret(31 * day)}}},
		{"in 30 days", DiagnosisWarning, "the last credential of the client billing expires within 30 days", store.Client{Secrets: []store.Secret{secret(30 * day)}}, 0},
		{"in 7 days", DiagnosisWarning, "within 7 days", store.Client{Secrets: []store.Secret{secret(7 * day)}}, 0},
		{"in a day", DiagnosisFailed, "within a day", store.Client{Secrets: []store.Secret{secret(day)}}, 0},
		{"over", DiagnosisFailed, "has expired", store.Client{Secrets: []store.Secret{secret(-day)}}, 0},
		{name: "over, beside another", client: store.Client{Secrets: []store.Secret{secret(-day), good}}},
		{"one of several", DiagnosisWarning, "which has others, never used, expires within a day", store.Client{Secrets: []store.Secret{secret(day), good}}, 0},
		{"rotated out, and in use", DiagnosisWarning, "last used 2026-11-23 11:00:00 UTC from 192.0.2.7, expires within a day", store.Client{Secrets: []store.Secret{rotated(2 * time.Hour), good}}, time.Hour},
		{name: "rotated out, and not used since", client: store.Client{Secrets: []store.Secret{rotated(2 * time.Hour), good}}, used: 3 * time.Hour},
		{name: "rotated out a moment ago", client: store.Client{Secrets: []store.Secret{rotated(time.Second), good}}},
		{name: "suspended", client: store.Client{Suspended: true, Secrets: []store.Secret{secret(day)}}},
		{"a key", DiagnosisWarning, "within 7 days", store.Client{AuthMethod: oauth.PrivateKeyJWT, Keys: []store.ClientKey{ending}}, 0},
		{name: "a key for ever", client: store.Client{AuthMethod: oauth.PrivateKeyJWT, Keys: []store.ClientKey{key}}},
		{name: "keys elsewhere", client: store.Client{AuthMethod: oauth.PrivateKeyJWT, JWKSURI: "https://a"}},
		{name: "a certificate", client: store.Client{AuthMethod: oauth.TLSClientAuth, CertificateRule: "san_dns", CertificateValue: "a"}},
		{"no secret", DiagnosisWarning, "billing has no secret: it can get no token", store.Client{}, 0},
		{"no key", DiagnosisWarning, "billing has no key: it can get no token", store.Client{AuthMethod: oauth.PrivateKeyJWT}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.client.ID, test.client.Name = "billing-1", "billing"
			if test.client.AuthMethod == "" {
				test.client.AuthMethod = oauth.ClientSecretBasic
			}
			s := memstore.New()
			err := s.Clients().Insert(t.Context(), test.client)
			if err == nil && test.used > 0 {
				err = s.NoteUses(t.Context(), []store.Use{{ClientID: "billing-1", Credential: "old", Last: now.Add(-test.used), Remote: "192.0.2.7"}})
			}
			if err != nil {
				t.Fatal(err)
			}
			d := &doctor{now: now}
			d.credentials(t.Context(), s)
			if test.state == "" {
				wantDiagnosis(t, d.found, "credentials", DiagnosisOK, "of 1 clients none expires")
				return
			}
			wantDiagnosis(t, d.found, "credentials", test.state, test.text)
			if len(d.found) != 1 || !strings.Contains(d.found[0].Remedy, "writ client ") || !strings.Contains(d.found[0].Remedy, "billing") {
				t.Errorf("got %+v", d.found)
			}
		})
	}
}

// TestDiagnoseIssuer sees from outside what clients stumble over.
func TestDiagnoseIssuer(t *testing.T) {
	t.Parallel()
	type answer struct {
		clock          time.Duration
		issuer, keys   string
		metadataStatus int
	}
	good := `{"keys":[{"kty":"EC","crv":"P-256","kid":"a","alg":"ES256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`
	for _, test := range []struct {
		name, check, state, text string
		answer                   answer
	}{
		{"all is well", "jwks", DiagnosisOK, "keys published: 1", answer{keys: good}},
		{"the clock is right", "clock", DiagnosisOK, "", answer{keys: good}},
		{"a clock a minute ahead", "clock", DiagnosisFailed, "apart", answer{clock: time.Minute, keys: good}},
		{"a clock a minute behind", "clock", DiagnosisFailed, "apart", answer{clock: -time.Minute, keys: good}},
		{"a clock six seconds behind", "clock", DiagnosisWarning, "apart", answer{clock: -6 * time.Second, keys: good}},
		{"another issuer", "metadata", DiagnosisFailed, "https://other.example", answer{issuer: "https://other.example"}},
		{"no metadata", "metadata", DiagnosisFailed, "404", answer{metadataStatus: http.StatusNotFound}},
		{"metadata elsewhere", "metadata", DiagnosisFailed, "302", answer{metadataStatus: http.StatusFound}},
		{"no keys", "jwks", DiagnosisFailed, "no key is published", answer{keys: `{"keys":[]}`}},
		{"something else for keys", "jwks", DiagnosisFailed, "", answer{keys: `<html>`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(nil)
			issuer := "http://" + server.Listener.Addr().String()
			server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", time.Now().Add(test.answer.clock).UTC().Format(http.TimeFormat))
				if r.URL.Path == "/jwks" {
					fmt.Fprint(w, test.answer.keys)
					return
				}
				if test.answer.metadataStatus != 0 {
					w.Header().Set("Location", "/jwks")
					w.WriteHeader(test.answer.metadataStatus)
				}
				document := oauth.Metadata{Issuer: issuer, JWKSURI: issuer + "/jwks"}
				if test.answer.issuer != "" {
					document.Issuer = test.answer.issuer
				}
				_ = json.NewEncoder(w).Encode(document)
			})
			server.Start()
			defer server.Close()
			wantDiagnosis(t, DiagnoseIssuer(t.Context(), issuer), test.check, test.state, test.text)
		})
	}
}

// TestDiagnoseCertificate: callers who do not trust the certificate do not come at all.
func TestDiagnoseCertificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	found := DiagnoseIssuer(t.Context(), server.URL)
	wantDiagnosis(t, found, "issuer", DiagnosisFailed, "certificate")
	if remedy := diagnosis(t, found, "issuer").Remedy; !strings.Contains(remedy, "an authority that clients trust") {
		t.Errorf("remedy: got %q", remedy)
	}
	d := &doctor{now: time.Now()}
	cert := server.Certificate()
	if d.expiry("tls", "the certificate", cert.NotAfter, "renew it") {
		t.Errorf("got %+v", d.found)
	}
}
