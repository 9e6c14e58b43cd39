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
	for _, table := range []string{"clients", "resources", "roles", "signing_keys", "revocations", "used_ids", "events"} {
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
	operators := registry.New(registry.Options{Issuer: "https://issuer.example", Store: s, Ring: ring})
	made := must(operators.CreateClient(ctx, registry.System("test"), oauth.ClientMetadata{ClientName: "billing"}))
	canaries := map[string][]byte{}
	for name, secret := range map[string][]byte{"root key": root, "client secret": []byte(made.Secret.Reveal())} {
		canaries[name] = secret
		canaries[name+" in hexadecimal"] = []byte(hex.EncodeToString(secret))
		canaries[name+" in base64"] = []byte(base64.RawStdEncoding.EncodeToString(secret))
		canaries[name+" in base64url"] = []byte(base64.RawURLEncoding.EncodeToString(secret))
	}
	canaries["part of the client secret"] = []byte(made.Secret.Reveal()[20:40])
	return canaries
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
