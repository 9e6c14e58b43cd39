package writ_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/writ-auth/writ"

// imports is the map of the house: every package, and which of ours it may import outside its tests. A new package or a
// new edge is a decision: change ARCHITECTURE.md in the same commit and say why.
var imports = map[string]string{
	".": "", "oauth": "", "internal/jose": "", "internal/audit": "", "internal/store": "", "interop": "", "conformance": "", "drills": "",
	"client": "oauth internal/jose internal/pop", "client/oauth2source": "client", "resource": "oauth internal/jose internal/pop",
	"admin":                   "admin/wire oauth",
	"admin/wire":              "oauth",
	"internal/store/memstore": "internal/store", "internal/store/sqlstore": "internal/store", "internal/store/storetest": "internal/store",
	"internal/pop":       "internal/jose oauth",
	"internal/keyring":   "internal/jose internal/store",
	"internal/slowhash":  "internal/store",
	"internal/importer":  "internal/jose internal/registry internal/slowhash oauth",
	"internal/authority": "internal/audit internal/jose internal/keyring internal/pop internal/slowhash internal/store oauth",
	"internal/registry":  "admin/wire internal/jose internal/keyring internal/pop internal/publicuri internal/slowhash internal/store oauth",
	"internal/publicuri": "", "internal/remotekeys": "internal/jose internal/publicuri",
	"internal/endpoint": "internal/authority internal/registry oauth",
	"internal/adminapi": "admin/wire internal/registry resource oauth",
	"internal/server": "internal/adminapi internal/audit internal/authority internal/endpoint internal/jose internal/keyring " +
		"internal/pop internal/registry internal/remotekeys internal/store internal/store/sqlstore oauth resource",
	"authtest": "internal/audit internal/authority internal/endpoint internal/jose internal/keyring internal/pop " +
		"internal/store internal/store/memstore oauth",
	"cmd/writ":            "admin client resource internal/importer internal/server internal/jose oauth",
	"bench":               "internal/jose internal/pop internal/store internal/store/sqlstore internal/store/storetest resource",
	"examples/orders-api": "resource", "examples/orders-client": "client",
}

// What must not be linked, however far down: HTTP and SQL in the core, SQL at the edges, foreign modules in what users import.
const (
	core  = "admin/wire internal/jose internal/pop internal/store internal/keyring internal/authority internal/registry internal/publicuri internal/slowhash internal/importer"
	edges = "internal/endpoint internal/adminapi authtest"
	jose  = "github.com/go-jose/go-jose/v4"
)

var modules = map[string]string{"oauth": "", "admin": "", "admin/wire": "", "client": jose, "resource": jose, "client/oauth2source": jose + " golang.org/x/oauth2"}

// sqlOnly is what only sqlstore imports.
var sqlOnly = regexp.MustCompile(`^(database/sql|github\.com/(jackc/pgx|ncruces/go-sqlite3|pressly/goose))($|/)`)

type listed struct {
	ImportPath, Name, Doc string
	Imports, Deps         []string
	Module                struct{ Path string }
}

func TestImports(t *testing.T) {
	_ = filepath.WalkDir(".", func(string, fs.DirEntry, error) error { return nil }) // tells go test's cache what go list reads
	out, err := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Name,Doc,Imports,Deps,Module", "./...").Output()
	linked := map[string]listed{} // ours by folder
	for d := json.NewDecoder(bytes.NewReader(out)); err == nil && d.More(); {
		var p listed
		err = d.Decode(&p)
		linked[strings.TrimPrefix(strings.Replace(p.ImportPath, module, ".", 1), "./")] = p
	}
	for name := range imports {
		if _, ok := linked[name]; !ok {
			t.Errorf("%s is on the map and not in the tree: %v", name, err)
		}
	}
	for name, p := range linked {
		if _, ok := imports[name]; p.Module.Path == module && !ok {
			t.Errorf("%s is not on the map: put it into imports and into ARCHITECTURE.md", name)
		} else if ok {
			p.check(t, name, linked)
		}
	}
}

func (p listed) check(t *testing.T, name string, linked map[string]listed) {
	if !strings.HasPrefix(p.Doc, "Package "+p.Name+" ") && !strings.HasPrefix(p.Doc, "Command "+filepath.Base(name)+" ") {
		t.Errorf("%s has no package comment that says what it is for, got %q", name, p.Doc)
	}
	for _, to := range p.Imports {
		if edge, ours := strings.CutPrefix(to, module+"/"); ours && !has(imports[name], edge) ||
			sqlOnly.MatchString(to) && name != "internal/store/sqlstore" {
			t.Errorf("%s may not import %s", name, to)
		}
	}
	allowed, limited := modules[name]
	for _, to := range p.Deps {
		if m := linked[to].Module.Path; to == "net/http" && has(core, name) || to == "database/sql" && has(core+" "+edges, name) ||
			limited && m != "" && !has(allowed, m) {
			t.Errorf("%s may not link %s", name, to)
		}
	}
	if n := chain(linked, name); n > 5 {
		t.Errorf("%s stands before %d imports in a row, want at most 5", name, n)
	}
}

func chain(linked map[string]listed, name string) (longest int) {
	for _, to := range linked[name].Imports {
		if edge, ours := strings.CutPrefix(to, module+"/"); ours {
			longest = max(longest, 1+chain(linked, edge))
		}
	}
	return longest
}

func has(list, word string) bool { return slices.Contains(strings.Fields(list), word) }
