package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/oauth"
)

// schemaVariable makes TestRegistrySchema write the schema.
const schemaVariable = "WRIT_UPDATE_SCHEMA"

// TestRegistrySchema holds that the published schema is what the types say.
func TestRegistrySchema(t *testing.T) {
	t.Parallel()
	types := huma.NewMapRegistry("#/$defs/", huma.DefaultSchemaNamer)
	root := types.Schema(reflect.TypeFor[registryFile](), false, "")
	defs := map[string]any{}
	for name, schema := range types.Map() {
		defs[name] = schema
	}
	document := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Registry of Writ, for writ plan and writ apply",
		"type": root.Type, "properties": root.Properties, "additionalProperties": false, "$defs": defs,
	}
	got, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join(docs, "registry.schema.json")
	if os.Getenv(schemaVariable) != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("docs/registry.schema.json is not what the types say: %s=1 go test ./cmd/writ -run RegistrySchema", schemaVariable)
	}
	members := map[string]reflect.Value{}
	jsonMembers(reflect.ValueOf(&fileClient{}).Elem(), members)
	for name := range members {
		if !bytes.Contains(want, []byte(`"`+name+`": {`)) {
			t.Errorf("the schema has no %s", name)
		}
	}
}

// TestExportText: what is written is read again as it was, whatever YAML could take it for.
func TestExportText(t *testing.T) {
	t.Parallel()
	file := registryFile{Resources: []admin.ResourceSettings{}, Roles: []admin.RoleSettings{}}
	for i, text := range []string{
		"010", "1e3", "on", "yes", "null", "~", "true", "- x", "a: b", "# no", "&a", "*a", "!x", "{a}", "[a]", "'", `"`, "|", ">", "%x", "@x", "`x`", "é ü 漢", " x ",
		"2026-11-23", "0x1f", "1_000", ".inf", "=", "<<", "?", "x #y", "x: y: z", ",", "\\n", "---", "...", "0o17", "1:30", "-", "-1", "+1", ".5",
	} {
		file.Roles = append(file.Roles, admin.RoleSettings{Name: fmt.Sprintf("r%d", i), Description: text, Grants: []oauth.Grant{}})
		file.Resources = append(file.Resources, admin.ResourceSettings{URI: "urn:x:" + fmt.Sprint(i), Scopes: []admin.Scope{{Name: "010", Description: text}}})
	}
	file.Clients = []fileClient{{ClientMetadata: oauth.ClientMetadata{
		ClientName: "123", JWKS: json.RawMessage(`{"keys":[{"kid":"1","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`),
		TokenTTLSeconds: 60, DPoPBoundAccessTokens: true,
	}, Suspended: true, SecretLimit: &admin.Limit{TokenTTLSeconds: 30, Scopes: []string{"yes"}, Networks: []string{"2001:db8::/32"}}, KeyLimit: &admin.Limit{}}}
	for _, asJSON := range []bool{false, true} {
		text, err := exportText(file, asJSON)
		if err != nil {
			t.Fatal(err)
		}
		var got registryFile
		if err := readYAML("x.yaml", string(text), &got).err(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(file, got); diff != "" {
			t.Errorf("JSON %t (-want +got):\n%s", asJSON, diff)
		}
	}
}

func TestReadYAML(t *testing.T) {
	t.Parallel()
	const client = "clients:\n  - client_name: x\n    "
	for name, test := range map[string]struct{ text, want string }{
		"unknown key":            {client + "scope: a", "x.yaml:3:5: clients[0].scope: unknown key"},
		"key that was misspelt":  {client + "role: [a]", `unknown key; did you mean "roles"?`},
		"key with another case":  {client + "Roles: [a]", `unknown key; did you mean "roles"?`},
		"key twice":              {client + "client_name: y", "already defined"},
		"key twice in a key set": {client + "jwks: {keys: [], keys: []}", "already defined"},
		"anchor":                 {client + "roles: &a [b]", "clients[0].roles: must be a list, such as [a, b]; anchors"},
		"alias":                  {"roles: &a []\nclients: *a", "anchors, aliases and tags"},
		"merge":                  {client + "<<: {suspended: true}", "must be a plain word"},
		"tag":                    {client + "suspended: !!bool true", "anchors, aliases and tags"},
		"two documents":          {"roles: []\n---\nroles: []", "a second document begins here"},
		"number for text":        {"clients:\n  - client_name: 123", `must be text: put it in quotes, "123"`},
		"yes for true":           {client + "suspended: yes", "must be true or false"},
		"octal":                  {client + "token_ttl_seconds: 010", "must be a whole number"},
		"fraction":               {client + "token_ttl_seconds: 1.5", "must be a whole number"},
		"too large":              {client + "token_ttl_seconds: 99999999999999999999", "must be a whole number"},
		"text for a list":        {client + "roles: a", "must be a list"},
		"list for text":          {client + "jwks_uri: [a]", "must be a single text"},
		"nothing":                {client + "roles:", "has no value"},
		"nothing for a section":  {"clients:", "has no value"},
		"list at the top":        {"- a", "must be a mapping"},
		"not YAML":               {"clients: [", "x.yaml:1"},
		"nested deep":            {client + "jwks: " + strings.Repeat("[", 30) + strings.Repeat("]", 30), "nests too deep"},
		"secret in the file":     {client + "secret: canary", "must be a mapping"},
		"secret in another key":  {client + "client_secret: canary", "unknown key"},
		"secret beside a typo":   {"clients: [{client_name: x, secret: canary, rolls: []}]", "must be a mapping"},
		"control characters":     {client + "\"a\\e[31m\": 1", "unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			var into registryFile
			err := readYAML("x.yaml", test.text, &into).err()
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestSecretReference: where a secret may come from, and what is said when it does not.
func TestSecretReference(t *testing.T) {
	dir := t.TempDir()
	path := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("WRIT_TEST_SECRET", "canary")
	for name, test := range map[string]struct {
		reference secretReference
		want      string // of the error
	}{
		"a variable":            {secretReference{Env: "WRIT_TEST_SECRET"}, ""},
		"a file":                {secretReference{File: path("secret", "canary\n")}, ""},
		"both":                  {secretReference{Env: "WRIT_TEST_SECRET", File: "x"}, "one of"},
		"neither":               {secretReference{}, "one of"},
		"no variable":           {secretReference{Env: "WRIT_TEST_NONE"}, "is not at hand: the environment has no WRIT_TEST_NONE"},
		"no file":               {secretReference{File: filepath.Join(dir, "none")}, "is not at hand: there is no file"},
		"an empty file":         {secretReference{File: path("empty", "\n")}, "is not at hand"},
		"a file that is large":  {secretReference{File: path("large", strings.Repeat("canary", 1000))}, "larger"},
		"a directory":           {secretReference{File: dir}, "directory"},
		"no name of a variable": {secretReference{Env: "canary canary"}, "must be the name"},
	} {
		t.Run(name, func(t *testing.T) {
			secret, err := test.reference.read()
			if test.want == "" && (err != nil || secret.Reveal() != "canary" || strings.Contains(fmt.Sprintf("%v %+v %q %x", secret, secret, secret, secret), "canary")) {
				t.Errorf("got %v, %v", secret, err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary")) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestWritePlan: nothing that stands in a plan can steer a terminal.
func TestWritePlan(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	impact := admin.DeclaredImpact{Client: "b\x1b[2J", Text: "secret a stops working"}
	impact.LastUsed, impact.LastUsedFrom = now.Add(-3*time.Hour), "192.0.2.7\n+ client y"
	plan := admin.DeclaredPlan{Changes: []admin.DeclaredChange{{
		Action: "change", Kind: "role", Name: "x\x1b[31m\r\n- client z", Impact: []admin.DeclaredImpact{
			impact, {Client: "c", Scope: "s\x1b", Text: "loses s\r", LastUse: impact.LastUse}, {Text: "and 3 more"},
		},
	}}}
	if err := writePlan(&out, plan, now); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.ContainsAny(got, "\x1b\r") || strings.Count(got, "\n") != 6 || !strings.Contains(got, "last used 3 h ago from 192.0.2.7 ") ||
		!strings.Contains(got, "! c used scope s") || !strings.Contains(got, "    ! and 3 more\n") {
		t.Errorf("got %q", got)
	}
}

// FuzzReadYAML: no text makes it panic, and what is taken says the same when it is written and read again.
func FuzzReadYAML(f *testing.F) {
	f.Add("clients:\n  - client_name: x\n    secret: {env: A}\n    roles: [a, 'b']\n")
	f.Add("resources: [{uri: 'urn:x:y', scopes: [{name: a}]}]\nroles: []\n")
	f.Add("clients: [{client_name: x, jwks: {keys: [{kid: \"1\"}]}}]")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<12 {
			return
		}
		var first, second registryFile
		if readYAML("x", text, &first).err() != nil {
			return
		}
		written, err := exportText(first, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := readYAML("x", string(written), &second).err(); err == nil && !cmp.Equal(first, second) {
			t.Errorf("%q became %s", text, written)
		}
	})
}
