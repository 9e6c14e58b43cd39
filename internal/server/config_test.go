package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// writeFile writes a file that only its owner can read.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultIsValid(t *testing.T) {
	c, err := Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := time.Duration(c.Tokens.TTL); got != 5*time.Minute {
		t.Errorf("tokens.ttl is %s, want 5m", got)
	}
	if dsn, err := c.dsn(); err != nil || dsn != "sqlite:writ-data/writ.db" {
		t.Errorf("database is %q, %v", dsn, err)
	}
}

func TestFileSetsEveryKindOfField(t *testing.T) {
	path := writeFile(t, "writ.yaml", `# a comment
issuer: "https://as.example.com/t1"
listen: 0.0.0.0:8080
plain_http_behind: ["10.0.0.7/32", 2001:db8::/64]
trusted_proxies:
  - 192.0.2.0/24
keys: {lifetime: 7d, announce: 1d12h}
limits:
  connections: 100
  header: 16KiB
  body: 8192
log:
  level: debug
`)
	c, err := Load(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Issuer, " ", c.PlainHTTPBehind, " ", c.TrustedProxies, " ", c.Keys, " ", c.Limits.Connections, " ", c.Limits.Header, " ", c.Limits.Body, " ", c.Log.Level)
	want := "https://as.example.com/t1 [10.0.0.7/32 2001:db8::/64] [192.0.2.0/24] {7d 36h} 100 16KiB 8KiB debug"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestOP16: YAML bombs, duplicates, unknown keys and ambiguous scalars are refused, quickly and with the line.
func TestOP16(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i < 'j'; i++ {
		bomb += fmt.Sprintf("%c: &%c [%s*%c]\n", i, i, strings.Repeat(fmt.Sprintf("*%c,", i-1), 8), i-1)
	}
	cases := map[string]struct{ text, want string }{
		"alias bomb":              {bomb, "unknown key"},
		"alias in a known key":    {"log: {level: &l info, format: *l}\n", "anchors, aliases and tags"},
		"100 MB":                  {strings.Repeat("# filler, filler, filler, filler, filler, filler, filler, filler, filler\n", 100<<20/72), "larger than 64KiB"},
		"deep flow":               {strings.Repeat("[", 60_000), "more than 4096"},
		"deep flow mappings":      {strings.Repeat("{a: ", 15_000), "more than 4096"},
		"deep flow in bounds":     {strings.Repeat("{a: ", 1300), "could not find"},
		"many dashes":             {strings.Repeat("- ", 30_000), "more than 4096"},
		"duplicate key":           {"listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n", `already defined`},
		"duplicate key in group":  {"log:\n  level: info\n  level: warn\n", `already defined`},
		"group twice":             {"log: {level: info}\nlog: {format: text}\n", `already defined`},
		"tab":                     {"log:\n\tlevel: info\n", `cannot start any token`},
		"unknown key":             {"listn: 127.0.0.1:1\n", `listn: unknown key; did you mean "listen"?`},
		"unknown key in group":    {"tokens: {tll: 5m}\n", `tokens.tll: unknown key; did you mean "tokens.ttl"?`},
		"key of other case":       {"Listen: 127.0.0.1:1\n", `Listen: unknown key; did you mean "listen"?`},
		"octal":                   {"limits: {connections: 010}\n", "limits.connections: must be a whole number in decimal"},
		"octal of YAML 1.2":       {"limits: {connections: 0o20}\n", "limits.connections: must be a whole number in decimal"},
		"hexadecimal":             {"limits: {connections: 0xff}\n", "limits.connections: must be a whole number in decimal"},
		"underscores":             {"limits: {connections: 1_000}\n", "limits.connections: must be a whole number in decimal"},
		"float":                   {"limits: {connections: 1e3}\n", "limits.connections: must be a whole number in decimal"},
		"no is not a bool":        {"log: {level: no}\n", "log.level: must be one of debug, info, warn, error"},
		"bool for text":           {"log: {level: false}\n", "log.level: must be text"},
		"number for text":         {"listen: 8080\n", "listen: must be text"},
		"duration without a unit": {"tokens: {ttl: 300}\n", "tokens.ttl: must be a duration with its unit"},
		"negative duration":       {"tokens: {ttl: -5m}\n", "tokens.ttl: must be a duration with its unit"},
		"list for a value":        {"issuer: [a, b]\n", "issuer: must be a single value"},
		"value for a group":       {"log: debug\n", "log: must be a mapping"},
		"nothing for a value":     {"issuer:\n", "issuer: has no value"},
		"nothing for a group":     {"log:\n", "log: has no value"},
		"tag":                     {"issuer: !!binary aGk=\n", "anchors, aliases and tags"},
		"merge key":               {"<<: {listen: 127.0.0.1:1}\n", "plain word"},
		"two documents":           {"listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2\n", "second document"},
		"not a mapping":           {"- listen\n", "must be a mapping"},
		"binary":                  {"\x00\x01\x02\xff\xfe", ""},
	}
	for name, c := range cases {
		t.Run("OP-16 "+name, func(t *testing.T) {
			path := writeFile(t, "writ.yaml", c.text)
			before := allocated()
			start := time.Now()
			_, err := Load(path, nil, nil)
			took, grew := time.Since(start), allocated()-before
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant a problem with %q", err, c.want)
			}
			if took > time.Second || grew > 64<<20 {
				t.Errorf("took %s and %d MiB, want less than 1 s and 64 MiB", took, grew>>20)
			}
		})
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestFileProblemsComeAllAtOnceWithTheirPlace(t *testing.T) {
	path := writeFile(t, "writ.yaml", "issuer: http://as.example.com\nlog:\n  levle: debug\n  format: xml\ntokens: {ttl: 5}\n")
	_, err := Load(path, []string{"WRIT_LIMITS_CONNECTIONS=many"}, map[string]string{"data": ""})
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v", err)
	}
	var fields []string
	for _, p := range problems {
		fields = append(fields, p.Field)
	}
	slices.Sort(fields)
	want := []string{"data", "issuer", "limits.connections", "log.format", "log.levle", "tokens.ttl"}
	if !slices.Equal(fields, want) {
		t.Errorf("got problems with %v, want %v", fields, want)
	}
	place := path + ":3:3: log.levle: unknown key; did you mean \"log.level\"?\n    3 |   levle: debug\n          ^\n"
	if !strings.Contains(err.Error(), place) {
		t.Errorf("got\n%v\nwant in it\n%s", err, place)
	}
}

func TestOP17Precedence(t *testing.T) {
	path := writeFile(t, "writ.yaml", "listen: 127.0.0.1:1001\nlog: {level: warn}\ntokens: {ttl: 1m}\n")
	env := []string{"WRIT_LISTEN=127.0.0.1:1002", "WRIT_LOG_LEVEL=error", "WRIT_TOKENS_TTL=", "WRIT_SERVICE_HOST=10.0.0.1", "LISTEN=127.0.0.1:9"}
	c, err := Load(path, env, map[string]string{"listen": "127.0.0.1:1003"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:1003" {
		t.Errorf("OP-17 flag over environment: listen is %s", c.Listen)
	}
	if c.Log.Level != "error" {
		t.Errorf("OP-17 environment over file: log.level is %s", c.Log.Level)
	}
	if c.Tokens.TTL.String() != "1m" {
		t.Errorf("OP-17 an empty variable is not set: tokens.ttl is %s", c.Tokens.TTL)
	}
	if c.Log.Format != "json" {
		t.Errorf("OP-17 default: log.format is %s", c.Log.Format)
	}
}

func TestOP17DatabaseFileAndDatabase(t *testing.T) {
	secret := writeFile(t, "dsn", "sqlite:/from/file.db\n")
	path := writeFile(t, "writ.yaml", "database: sqlite:/from/config.db\n")
	c, err := Load(path, []string{"WRIT_DATABASE_FILE=" + secret}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if dsn, err := c.dsn(); dsn != "sqlite:/from/file.db" || err != nil {
		t.Errorf("OP-17 WRIT_DATABASE_FILE over the file's database: got %q, %v", dsn, err)
	}
	_, err = Load(path, []string{"WRIT_DATABASE_FILE=" + secret, "WRIT_DATABASE=sqlite:/x.db"}, nil)
	wantProblem(t, err, "database_file", "excludes database")
}

func TestOP17Secrets(t *testing.T) {
	t.Run("OP-17 world-readable secret file", func(t *testing.T) {
		secret := writeFile(t, "dsn", "postgres://writ:canary@127.0.0.1/writ")
		chmod(t, secret, 0o604)
		_, err := Load("", []string{"WRIT_DATABASE_FILE=" + secret}, nil)
		wantProblem(t, err, "database_file", "others can read")
	})
	t.Run("OP-17 world-readable configuration with a password", func(t *testing.T) {
		path := writeFile(t, "writ.yaml", "database: postgres://writ:canary@127.0.0.1/writ\n")
		if _, err := Load(path, nil, nil); err != nil {
			t.Fatalf("mode 0600: %v", err)
		}
		chmod(t, path, 0o644)
		_, err := Load(path, nil, nil)
		wantProblem(t, err, "database", "others can read")
	})
	t.Run("OP-17 unset ${VAR}", func(t *testing.T) {
		path := writeFile(t, "writ.yaml", "database: postgres://writ:${PASSWORD}@127.0.0.1/writ\n")
		_, err := Load(path, nil, nil)
		wantProblem(t, err, "database", "WRIT_DATABASE")
	})
	t.Run("OP-17 world-readable TLS key", func(t *testing.T) {
		cert, key := newAuthority(t).files(t, "localhost")
		if _, err := Load("", nil, map[string]string{"tls.certificate": cert, "tls.key": key}); err != nil {
			t.Fatalf("mode 0600: %v", err)
		}
		chmod(t, key, 0o644)
		_, err := Load("", nil, map[string]string{"tls.certificate": cert, "tls.key": key})
		wantProblem(t, err, "tls.key", "others can read")
	})
	t.Run("OP-14 no problem shows a password", func(t *testing.T) {
		path := writeFile(t, "writ.yaml", "databse: postgres://writ:canary@db/writ\ndatabase: postgres://writ:canary@db/writ?sslmode=disable\ndata: [postgres://writ:canary@db/writ]\nissuer: \"postgres://writ:canary@db\nx\n")
		_, err := Load(path, nil, nil)
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("got %v", err)
		}
		path = writeFile(t, "writ.yaml", "writ_cs_canarycanarycanarycanary\n")
		if _, err = Load(path, nil, nil); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("a file with a client secret: %v", err)
		}
		_, err = Load("", []string{"WRIT_DATABASE=postgres://writ:canary@db:x y/writ"}, nil)
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("got %v", err)
		}
	})
}

func TestST11(t *testing.T) {
	cases := []struct{ dsn, want string }{
		{"postgres://writ@db.example.com/writ?sslmode=verify-full", ""},
		{"postgresql://writ@db.example.com/writ?sslmode=verify-ca", ""},
		{"postgres://writ@127.0.0.1:5432/writ", ""},
		{"postgres://writ@[::1]:5432/writ?sslmode=disable", ""},
		{"postgres://writ@localhost/writ", ""},
		{"postgres:///writ?host=/run/postgresql", ""},
		{"postgres://writ@db.example.com/writ?sslmode=disable", "verify-full"},
		{"postgres://writ@db.example.com/writ?sslmode=prefer", "verify-full"},
		{"postgres://writ@db.example.com/writ?sslmode=require", "verify-full"},
		{"postgres://writ@db.example.com/writ", "verify-full"},
		{"postgres://writ@127.0.0.1,db.example.com/writ", "db.example.com"},
		{"postgres://writ@127.0.0.1/writ?host=db.example.com", "db.example.com"},
		{"mysql://x", "must begin with"},
		{"sqlite:", "must begin with"},
		{"writ.db", "must begin with"},
	}
	for _, c := range cases {
		t.Run("ST-11 "+c.dsn, func(t *testing.T) {
			_, err := Load("", []string{"WRIT_DATABASE=" + c.dsn}, nil)
			if c.want == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			wantProblem(t, err, "database", c.want)
		})
	}
}

func TestIssuer(t *testing.T) {
	for _, good := range []string{"https://as.example.com", "https://as.example.com/t1", "https://as.example.com:8443/a/b", "http://127.0.0.1:8080", "http://localhost:8080/x", "http://[::1]:9"} {
		if err := validIssuer(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"as.example.com": "absolute", "https://": "absolute", "ftp://as.example.com": "https://", "http://as.example.com": "loopback",
		"https://u@as.example.com": "user", "https://as.example.com?x=1": "query", "https://as.example.com?": "query", "https://as.example.com#f": "fragment",
		"https://as.example.com#": "fragment", "https://as.example.com/": "slash", "https://as.example.com//a": "single slashes", "https://as.example.com/a/../b": "single slashes",
		"https://as.example.com/%61": "single slashes", "https://AS.example.com": "lower-case", "HTTPS://as.example.com": "plain form", "https://as.example.com:443": "port",
	} {
		if err := validIssuer(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", bad, err, want)
		}
	}
}

func TestOP05START(t *testing.T) {
	cert, key := newAuthority(t).files(t, "localhost")
	cases := map[string]struct {
		flags map[string]string
		field string
		want  string
	}{
		"OP-05 http off loopback":            {map[string]string{"listen": "0.0.0.0:8080", "issuer": "https://as.example.com"}, "listen", "plain_http_behind"},
		"OP-05 http on every address":        {map[string]string{"listen": ":8080", "issuer": "https://as.example.com"}, "listen", "plain_http_behind"},
		"OP-05 http on a name":               {map[string]string{"listen": "as.example.com:8080", "issuer": "https://as.example.com"}, "listen", "plain_http_behind"},
		"OP-05 admin http off loopback":      {map[string]string{"admin.listen": "0.0.0.0:8081"}, "admin.listen", "admin.tls"},
		"OP-05 proxy that is everybody":      {map[string]string{"listen": "0.0.0.0:8080", "plain_http_behind": "0.0.0.0/0"}, "plain_http_behind", "trusts everybody"},
		"OP-05 proxy with a sloppy mask":     {map[string]string{"plain_http_behind": "10.0.0.7/24"}, "plain_http_behind", "10.0.0.0/24"},
		"OP-05 proxy without a mask":         {map[string]string{"trusted_proxies": "10.0.0.7"}, "trusted_proxies", "CIDR"},
		"OP-05 proxy and certificate":        {map[string]string{"plain_http_behind": "10.0.0.7/32", "tls.certificate": cert, "tls.key": key}, "plain_http_behind", "excludes tls"},
		"OP-05 no issuer off loopback":       {map[string]string{"listen": "0.0.0.0:8080", "plain_http_behind": "10.0.0.7/32"}, "issuer", "required"},
		"certificate without key":            {map[string]string{"tls.certificate": cert}, "tls.key", "missing"},
		"key of another certificate":         {map[string]string{"tls.certificate": cert, "tls.key": second(newAuthority(t).files(t, "localhost"))}, "tls.certificate", "does not match"},
		"admin on the public listener":       {map[string]string{"admin.listen": "127.0.0.1:8080"}, "admin.listen", "must not be on the public"},
		"address without port":               {map[string]string{"listen": "127.0.0.1"}, "listen", "HOST:PORT"},
		"ttl above max_ttl":                  {map[string]string{"tokens.ttl": "2h"}, "tokens.ttl", "max_ttl"},
		"so many keys that APIs refuse all":  {map[string]string{"keys.lifetime": "10m", "keys.announce": "6m"}, "keys.lifetime", "tokens.max_ttl"},
		"announced too late to be seen":      {map[string]string{"keys.announce": "5m"}, "keys.announce", "6m"},
		"announced for longer than it lives": {map[string]string{"keys.lifetime": "1h"}, "keys.announce", "lifetime"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Load("", nil, c.flags)
			wantProblem(t, err, c.field, c.want)
		})
	}
}

func second(_, b string) string { return b }

func TestValuesReadAndWrite(t *testing.T) {
	for text, want := range map[string]string{"30d": "30d", "1d12h": "36h", "5m": "5m", "90s": "1m30s", "250ms": "250ms", "24h": "1d", "1h": "1h", "0s": "0s"} {
		if d, err := ParseDuration(text); err != nil || d.String() != want {
			t.Errorf("%s: got %s, %v, want %s", text, d, err, want)
		}
	}
	for _, bad := range []string{"", "5", "0", "-5m", "+5m", "5 m", "d", "1.5d", "1d-1h", "99999d", "1d1d", "m", "65535d2000000h"} {
		if d, err := ParseDuration(bad); err == nil {
			t.Errorf("duration %q was read as %s", bad, d)
		}
	}
	for text, want := range map[string]string{"65536": "64KiB", "64KiB": "64KiB", "1MiB": "1MiB", "100": "100", "100B": "100", "0": "0"} {
		if n, err := ParseSize(text); err != nil || n.String() != want {
			t.Errorf("%s: got %s, %v, want %s", text, n, err, want)
		}
	}
	for _, bad := range []string{"", "64K", "64kb", "64KB", "-1", "010", "KiB", "9223372036854775807KiB", "1 MiB", "1iB"} {
		if n, err := ParseSize(bad); err == nil {
			t.Errorf("size %q was read as %s", bad, n)
		}
	}
}

func TestDocIsUpToDate(t *testing.T) {
	const path = "../../docs/config.md"
	committed, err := os.ReadFile(path)
	if err == nil && string(committed) == Doc() {
		return
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(Doc()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s is not what the comments of Config say (%v): run UPDATE=1 go test -run TestDocIsUpToDate ./internal/server", path, err)
}

func TestDocTellsOfEveryField(t *testing.T) {
	c := Default()
	doc := Doc()
	for _, f := range fieldsOf(&c) {
		_, section, found := strings.Cut(doc, "\n### "+f.path+"\n\n")
		if !found || strings.HasPrefix(section, "\n") || !strings.Contains(section, f.env()) {
			t.Errorf("%s is not documented", f.path)
		}
	}
}

func TestProductionExample(t *testing.T) {
	text, err := os.ReadFile("../../examples/production/writ.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(text, []byte("\n")); lines > 25 {
		t.Errorf("has %d lines, want at most 25", lines)
	}
	cert, key := newAuthority(t).files(t, "as.example.com")
	dsn := writeFile(t, "database", "postgres://writ:secret@db.example.com/writ?sslmode=verify-full")
	for from, to := range map[string]string{"/etc/writ/tls.crt": cert, "/etc/writ/tls.key": key, "/etc/writ/database": dsn} {
		if !bytes.Contains(text, []byte(from)) {
			t.Errorf("does not name %s", from)
		}
		text = bytes.ReplaceAll(text, []byte(from), []byte(to))
	}
	c, err := Load(writeFile(t, "writ.yaml", string(text)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !c.TLS.set() || loopback(c.Listen) {
		t.Errorf("is not a production configuration: %+v", c)
	}
	if _, err := tls.LoadX509KeyPair(c.TLS.Certificate, c.TLS.Key); err != nil {
		t.Error(err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("listen: 127.0.0.1:1\n")
	f.Add("a: &a [*a]\n---\n")
	f.Add("limits: {connections: 010, body: 1KiB}\n? x\n: y\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "writ.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, nil, nil)
		if err == nil && c.Validate() != nil {
			t.Errorf("Load took what Validate refuses: %v", c.Validate())
		}
	})
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func wantProblem(t *testing.T, err error, field, text string) {
	t.Helper()
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v, want a problem with %s", err, field)
	}
	for _, p := range problems {
		if p.Field == field && strings.Contains(p.Text, text) {
			return
		}
	}
	t.Errorf("got %v\nwant a problem with %s that says %q", err, field, text)
}
