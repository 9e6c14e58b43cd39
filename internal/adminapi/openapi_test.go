package adminapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/registry"
)

var update = flag.Bool("update", false, "write docs/openapi.json")

// golden is the document as it is published with the source.
var golden = filepath.Join("..", "..", "docs", "openapi.json")

func TestOpenAPIIsUpToDate(t *testing.T) {
	b := newBench(t)
	response := b.call("GET", openAPIPath, "", "") // without a token
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("%d %s", response.StatusCode, response.Header.Get("Content-Type"))
	}
	got := []byte(text(t, response))
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/openapi.json is not what the code makes: run go test ./internal/adminapi -run OpenAPI -update")
	}
}

func TestOpenAPIStructure(t *testing.T) {
	data, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		OpenAPI string
		Servers []struct{ URL string }
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Security    []map[string][]string
			Responses   map[string]any
		}
		Components struct {
			Schemas map[string]struct {
				Type       string
				Properties map[string]any
				Required   []string
			}
			SecuritySchemes map[string]any `json:"securitySchemes"`
		}
	}
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(document.OpenAPI, "3.1.") || len(document.Servers) != 1 || document.Servers[0].URL != Prefix {
		t.Errorf("OpenAPI %s of %v", document.OpenAPI, document.Servers)
	}
	operations := 0
	for _, methods := range document.Paths {
		operations += len(methods)
	}
	if operations != len(routes) {
		t.Errorf("%d operations, want %d", operations, len(routes))
	}
	for _, route := range routes {
		operation, ok := document.Paths[route.path][strings.ToLower(route.method)]
		if !ok || operation.OperationID != route.id {
			t.Errorf("%s is missing", route.pattern())
			continue
		}
		if len(operation.Security) != 1 || len(operation.Security[0]["token"]) != 1 || operation.Security[0]["token"][0] != route.scope {
			t.Errorf("%s says security %v, want %s", route.pattern(), operation.Security, route.scope)
		}
		if operation.Responses["default"] == nil || len(operation.Responses) < 2 {
			t.Errorf("%s has responses %v", route.pattern(), operation.Responses)
		}
	}
	// Every reference has something that it refers to.
	for _, part := range strings.Split(string(data), `"$ref": "#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if _, ok := document.Components.Schemas[name]; !ok {
			t.Errorf("schema %s is missing", name)
		}
	}
	for schema, members := range map[string]string{
		"ClientMetadata":   "client_name grants roles token_ttl_seconds",
		"Client":           "client_id client_name suspended created",
		"Registered":       "client_id client_secret client_name",
		"Resource":         "id uri scopes format algorithm",
		"ResourceSettings": "uri scopes",
		"Problem":          "status title detail errors",
		"Key":              "id algorithm status",
	} {
		for member := range strings.FieldsSeq(members) {
			if document.Components.Schemas[schema].Properties[member] == nil {
				t.Errorf("schema %s has no %s", schema, member)
			}
		}
	}
	if _, leak := document.Components.Schemas["Client"].Properties["client_secret"]; leak {
		t.Error("a client is described with a secret")
	}
	if document.Components.SecuritySchemes["token"] == nil {
		t.Error("the security scheme is missing")
	}
	for _, scope := range registry.AdminScopes() {
		if !bytes.Contains(data, []byte("`"+scope+"`")) {
			t.Errorf("no operation needs %s", scope)
		}
	}
}

// FuzzStrictJSON: whatever is sent as metadata, the format does not panic, and takes nothing that a strict reader of
// another make refuses.
func FuzzStrictJSON(f *testing.F) {
	f.Add([]byte(`{"client_name":"x","grants":[{"resource":"urn:a:b","scopes":["c"]}]}`))
	f.Add([]byte(strings.Repeat("[", 40)))
	f.Add([]byte(`{"a":"\"[[[["}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var value any
		if err := strictJSON.Unmarshal(data, &value); err != nil {
			return
		}
		var other any
		if err := json.Unmarshal(data, &other); err != nil {
			t.Errorf("%q was taken: %v", data, err)
		}
		depth := 0
		decoder := json.NewDecoder(bytes.NewReader(data))
		for {
			token, err := decoder.Token()
			if err != nil {
				break
			}
			switch token {
			case json.Delim('{'), json.Delim('['):
				if depth++; depth > maxDepth {
					t.Fatalf("%q nests %d deep", data, depth)
				}
			case json.Delim('}'), json.Delim(']'):
				depth--
			}
		}
	})
}
