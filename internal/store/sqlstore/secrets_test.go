package sqlstore_test

import (
	"bytes"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/storetest"
	"github.com/writ-auth/writ/oauth"
)

// TestST05 looks for secrets in what a thief of the database has.
func TestST05(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		dsn := sqlite(t)
		file := strings.TrimPrefix(dsn, "sqlite:")
		s := open(t, dsn)
		canaries := fillWithSecrets(t, s)
		raw := readAll(t, filepath.Dir(file)) // with the WAL
		closeIt(t, s)
		raw = append(raw, readAll(t, filepath.Dir(file))...)
		mustNotHave(t, append(dump(t, must(sql.Open("sqlite3", file))), raw...), canaries)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		dsn := storetest.PostgreSQL(t)
		canaries := fillWithSecrets(t, open(t, dsn))
		mustNotHave(t, dump(t, connect(t, dsn).DB), canaries)
	})
}

// dump returns all rows of all tables, with blanks between the columns.
func dump(t *testing.T, db *sql.DB) (all []byte) {
	t.Helper()
	defer db.Close()
	for _, table := range []string{"clients", "resources", "roles", "signing_keys", "revocations", "used_ids", "uses", "events"} {
		rows := must(db.QueryContext(t.Context(), `SELECT * FROM `+table))
		columns := make([]any, len(must(rows.Columns())))
		for rows.Next() {
			to := make([]any, len(columns))
			for i := range to {
				to[i] = &columns[i]
			}
			if err := rows.Scan(to...); err != nil {
				t.Fatal(err)
			}
			all = fmt.Appendln(all, columns...)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// fillWithSecrets does what a server does, and returns every form of the secrets that must not be found.
func fillWithSecrets(t *testing.T, s store.Store) map[string][]byte {
	t.Helper()
	ctx := t.Context()
	root := must(keyring.CreateRoot(filepath.Join(t.TempDir(), "root.key")))
	ring := must(keyring.Open(ctx, s, keyring.Options{Root: root}))
	for _, algorithm := range []string{"ES256", "EdDSA", keyring.Sealing} {
		if err := ring.Ensure(ctx, algorithm); err != nil {
			t.Fatal(err)
		}
	}
	operators := registry.New(registry.Options{Issuer: "https://issuer.example", Store: s, Ring: ring, OperatorKey: true})
	operator := must(operators.Bootstrap(ctx))
	if operator == nil {
		t.Fatal("no operator was made")
	}
	made := must(operators.CreateClient(ctx, registry.System("test"), oauth.ClientMetadata{ClientName: "billing"}))
	canaries := map[string][]byte{}
	for name, private := range map[string]string{"the operator's key": operator.PrivateKey.Reveal(), "a key that was refused": refusedKey(t, operators)} {
		_, rest, _ := strings.Cut(private, `"d":"`)
		d, _, _ := strings.Cut(rest, `"`)
		if len(d) != 43 {
			t.Fatalf("%s is no private JWK", name)
		}
		canaries[name] = []byte(d)
		canaries[name+" in bytes"] = must(base64.RawURLEncoding.DecodeString(d))
	}
	for name, secret := range map[string][]byte{"root key": root, "client secret": []byte(made.Secret.Reveal())} {
		canaries[name] = secret
		canaries[name+" in hexadecimal"] = []byte(hex.EncodeToString(secret))
		canaries[name+" in base64"] = []byte(base64.RawStdEncoding.EncodeToString(secret))
		canaries[name+" in base64url"] = []byte(base64.RawURLEncoding.EncodeToString(secret))
	}
	canaries["part of the client secret"] = []byte(made.Secret.Reveal()[20:40])
	return canaries
}

// refusedKey tries to register a client with a private key, and returns it.
func refusedKey(t *testing.T, operators *registry.Registry) string {
	t.Helper()
	private := must(jose.MarshalPrivate(must(jose.GenerateKey(jose.ES256)), jose.ES256))
	metadata := oauth.ClientMetadata{ClientName: "careless", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: fmt.Appendf(nil, `{"keys":[%s]}`, private)}
	if _, err := operators.CreateClient(t.Context(), registry.System("test"), metadata); !errors.Is(err, registry.Invalid) {
		t.Fatalf("RG-06 a private key: got %v, want a refusal", err)
	}
	if _, err := operators.AddClientKey(t.Context(), registry.System("test"), "billing", private, registry.KeySettings{}); !errors.Is(err, registry.Invalid) {
		t.Fatalf("RG-06 a private key: got %v, want a refusal", err)
	}
	return string(private)
}

func mustNotHave(t *testing.T, dump []byte, canaries map[string][]byte) {
	t.Helper()
	if !bytes.Contains(dump, []byte("billing")) {
		t.Fatal("the dump does not even have the client's name")
	}
	for name, canary := range canaries {
		if bytes.Contains(dump, canary) {
			t.Errorf("%s is in the database in clear", name)
		}
	}
	public := 0
	for _, run := range regexp.MustCompile(`[A-Za-z0-9+/]{40,}={0,2}`).FindAll(dump, -1) {
		der, err := base64.StdEncoding.DecodeString(string(run))
		if err != nil {
			continue
		}
		if _, err := x509.ParsePKIXPublicKey(der); err == nil {
			public++
		}
		if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
			t.Error("a private key is in the database in clear")
		}
	}
	if public == 0 {
		t.Error("no public key found: a private one would not have been found either")
	}
}

func readAll(t *testing.T, dir string) (all []byte) {
	t.Helper()
	for _, file := range must(os.ReadDir(dir)) {
		all = append(all, must(os.ReadFile(filepath.Join(dir, file.Name())))...)
	}
	return all
}
