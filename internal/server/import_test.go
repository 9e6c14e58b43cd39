package server

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/internal/importer"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/slowhash"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/storetest"
	"github.com/writ-auth/writ/oauth"
)

// exported reads an export of a real server.
func exported(t *testing.T, name string, read func([]byte, importer.Options) (importer.Plan, error)) registry.Import {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "importer", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := read(data, importer.Options{
		Resource: "https://api.example.com/orders", Audiences: map[string]string{"orders-api": "https://api.example.com/orders"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan.Wanted
}

// An importedSecret is one that a client had on the other server.
type importedSecret struct {
	id, secret, scope, resource string
	byPost, generated           bool
}

var importedSecrets = []importedSecret{
	{"billing-pbkdf2", "correct horse battery staple pbkdf2", "invoices:read", "https://api.example.com/invoices", false, false},
	{"billing-bcrypt", "correct horse battery staple bcrypt", "invoices:write", "https://api.example.com/invoices", false, false},
	{"eb613937-1e75-4bc2-8afe-4d6263f20d71", "htoBR8PET.NgtqcORvFAfJ4Eki", "orders:read", "https://api.example.com/orders", true, true},
	{"f34fb15a-bc8a-4372-91cd-aaaffa95fc2c", "noyW1xO50CD1EM8zTqjRYsjugV", "orders:read", "https://api.example.com/orders", true, true},
	{"orders-worker", "kUGlWqh88TvkhDmE9Br92XXyUIuA64Fr", "orders:read", "https://api.example.com/orders", false, true},
	{"billing", "correct horse battery staple keycloak", "invoices:read", "https://api.example.com/invoices", false, false},
}

// known returns the secret of a client, if it is known.
func known(id string) importedSecret {
	at := slices.IndexFunc(importedSecrets, func(s importedSecret) bool { return s.id == id })
	if at < 0 {
		return importedSecret{}
	}
	return importedSecrets[at]
}

// token asks for a token with a secret of another server.
func (s importedSecret) token(t *testing.T, r *running, secret string) int {
	t.Helper()
	form := url.Values{"grant_type": {oauth.ClientCredentials}, "scope": {s.scope}, "resource": {s.resource}}
	if !s.byPost {
		form := form.Encode()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.base()+"/token", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth(url.QueryEscape(s.id), url.QueryEscape(secret))
		return status(t, r, request)
	}
	form.Set("client_id", s.id)
	form.Set("client_secret", secret)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.base()+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return status(t, r, request)
}

func status(t *testing.T, r *running, request *http.Request) int {
	t.Helper()
	response, err := r.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// TestImportedSecrets: clients of a real Hydra and a real Keycloak go on with the IDs and secrets that they have, on both
// databases; after the first use the hash is ours, and a wrong secret is never good.
func TestImportedSecrets(t *testing.T) {
	for name, database := range map[string]func(*testing.T) string{
		"SQLite": func(*testing.T) string { return "" }, "PostgreSQL": func(t *testing.T) string { return storetest.PostgreSQL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testConfig(t)
			if dsn := database(t); dsn != "" {
				c.Database = dsn
			}
			r := start(t, c)
			checked := 0
			for _, wanted := range []registry.Import{
				exported(t, "hydra-bcrypt.json", importer.Hydra), exported(t, "hydra-pbkdf2.json", importer.Hydra), exported(t, "keycloak.json", importer.Keycloak),
			} {
				if _, err := r.registry.Import(t.Context(), registry.System("test"), wanted); err != nil {
					t.Fatal(err)
				}
				for _, client := range wanted.Clients {
					if s := known(client.ID); s.id != "" {
						s.check(t, r)
						checked++
					}
				}
				// What is no longer needed is no longer paid for: under the race detector, bcrypt takes seconds.
				if err := r.authority.Census(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if checked != len(importedSecrets) {
				t.Errorf("%d secrets were tried, want %d", checked, len(importedSecrets))
			}
			webapp := importedSecret{id: "webapp-pbkdf2", scope: "openid"}
			if got := webapp.token(t, r, "s3cret-web-app-for-users"); got != http.StatusUnauthorized {
				t.Errorf("a client for users: got %d, want 401", got)
			}
			robot(t, r)
		})
	}
}

// check uses a secret before and after its hash is replaced, and a wrong one each time.
func (s importedSecret) check(t *testing.T, r *running) {
	t.Helper()
	for _, round := range []string{"before", "after"} {
		if got := s.token(t, r, s.secret+"x"); got != http.StatusUnauthorized {
			t.Errorf("%s, a wrong secret %s: got %d, want 401", s.id, round, got)
		}
		if got := s.token(t, r, s.secret); got != http.StatusOK {
			t.Errorf("%s %s: got %d, want 200", s.id, round, got)
		}
		if err := r.authority.UpgradeSecrets(t.Context(), r.registry.ReplaceHashes); err != nil {
			t.Fatal(err)
		}
		record, err := r.store.Clients().Get(t.Context(), s.id)
		if err != nil {
			t.Fatal(err)
		}
		kept := record.Secrets[0].Hash
		slow, err := slowhash.Parse(kept)
		if s.generated && kept != store.HashSecret(s.secret) || !s.generated && (err != nil || !slow.Ours()) {
			t.Errorf("%s: its hash is %s, want one of ours", s.id, kept)
		}
	}
}

// robot gets a token with the key of RFC 7517, appendix A.2, whose public half was in the export.
func robot(t *testing.T, r *running) {
	t.Helper()
	key, err := client.ParsePrivateKey([]byte(`{"kty":"EC","crv":"P-256","kid":"robot-1","alg":"ES256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
		"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"robot-pbkdf2", "robot"} {
		source, err := client.New(client.Config{
			Issuer: r.IssuerURL(), ClientID: id, Credential: key, Resource: "https://api.example.com/orders", Scope: "orders:read",
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := source.Token(t.Context()); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}
