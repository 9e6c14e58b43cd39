package server

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/internal/adminapi"
)

// TestOperatorAfterMove starts a server that has been elsewhere: with another issuer, with the first one again, and with
// another admin address. Each time operator.json must say where the server is, and its credential must be good.
func TestOperatorAfterMove(t *testing.T) {
	c := testConfig(t)
	path := filepath.Join(c.Data, "operator.json")
	works := func(what string) *running {
		t.Helper()
		r := start(t, c)
		var kept Credential
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &kept); err != nil {
			t.Fatal(err)
		}
		if kept.Issuer != r.IssuerURL() || kept.Admin != r.AdminURL() {
			t.Errorf("%s: operator.json says %s and %s, want %s and %s", what, kept.Issuer, kept.Admin, r.IssuerURL(), r.AdminURL())
		}
		source, err := client.New(client.Config{
			Issuer: r.IssuerURL(), ClientID: kept.ClientID, Credential: client.Secret(kept.ClientSecret), Resource: r.IssuerURL() + adminapi.Prefix,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := source.Token(t.Context()); err != nil {
			t.Errorf("%s: the operator gets no token: %v", what, err)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := works("first start")
	works("another issuer")
	c.Listen, _ = first.Addresses()
	works("the first issuer again, another admin address")

	if err := os.WriteFile(path, []byte("my notes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, c)
	if data, err := os.ReadFile(path); err != nil || string(data) != "my notes\n" {
		t.Errorf("a file that is no credential was changed: %q, %v", data, err)
	}
}

func TestUnknownFlag(t *testing.T) {
	_, err := Load("", nil, map[string]string{"tokens.tll": "5m", "a": "b", "listen": "127.0.0.1:1"})
	if err == nil || !strings.Contains(err.Error(), "flag: a: there is no such setting\nflag: tokens.tll: there is no such setting") {
		t.Errorf("got %v", err)
	}
}
