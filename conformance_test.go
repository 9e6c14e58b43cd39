package writ_test

import (
	"bufio"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated part of docs/conformance.md")

// required is every row of the catalogue that a test must hold: first and last of a range.
var required = []struct {
	series, title string
	ranges        [][2]int
}{
	{"T", "Token endpoint: HTTP and parameters", [][2]int{{1, 50}}},
	{"A", "Client secrets", [][2]int{{1, 28}}},
	{"J", "private_key_jwt", [][2]int{{1, 46}}},
	{"M", "Mutual TLS", [][2]int{{1, 15}}},
	{"D", "DPoP at the token endpoint", [][2]int{{1, 20}}},
	{"I", "Introspection", [][2]int{{1, 18}}},
	{"V", "Revocation", [][2]int{{1, 13}}},
	{"W", "Metadata and keys", [][2]int{{1, 16}}},
	{"S", "Resource server", [][2]int{{1, 42}}},
	{"C", "Client library", [][2]int{{1, 12}}},
	{"X", "Resource indicators", [][2]int{{1, 6}}},
	{"R", "Dynamic registration", [][2]int{{1, 22}}},
	{"AS-", "Attacks on the authorization server", [][2]int{{1, 37}}},
	{"CA-", "Attacks on client authentication", [][2]int{{1, 40}}},
	{"RG-", "Attacks on registration and by fetched documents", [][2]int{{1, 26}}},
	{"RS-", "Attacks on the resource server", [][2]int{{1, 36}}},
	{"ST-", "Attacks on the store", [][2]int{{1, 18}}},
	{"OP-", "Attacks on the operation", [][2]int{{1, 7}, {9, 21}}},
	{"CO-", "Attacks on the admin API", [][2]int{{10, 25}}},
}

// fapiModules are those of the OpenID Foundation's plans for FAPI 2.0 that apply to the client credentials grant (SECURITY,
// section 3.3), the server's and the client library's. The comment of a test names the one that it is.
var fapiModules = []string{
	"discovery-end-point-verification", "happy-flow", "access-token-type-header-case-sensitivity", "check-dpop-proof-nbf-exp",
	"ensure-dpopproof-with-iat-10seconds-before-succeeds", "ensure-dpopproof-with-iat-10seconds-after-succeeds",
	"ensure-client-id-in-token-endpoint", "ensure-holder-of-key-required", "ensure-signed-client-assertion-with-RS256-fails",
	"ensure-client-assertion-in-token-endpoint", "ensure-client-assertion-with-exp-is-5-minutes-in-past-fails",
	"ensure-client-assertion-with-wrong-aud-fails", "ensure-client-assertion-with-no-sub-fails", "dpop-negative-tests",
	"client-test-happy-path", "client-test-token-type-case-insensitivity", "client-test-happy-path-no-dpop-nonce",
}

// tableOfModules says which test is which module, and which modules have none.
func tableOfModules(holders map[string][]holder) (table string, missing []string) {
	table = "\n### FAPI 2.0 modules of the OpenID Foundation\n\n| module | test |\n|---|---|\n"
	for _, name := range fapiModules {
		var places []string
		for _, h := range holders[name] {
			places = append(places, "`"+h.place+"`")
		}
		if slices.Sort(places); len(places) == 0 {
			missing = append(missing, name)
		}
		table += fmt.Sprintf("| fapi2-security-profile-final-%s | %s |\n", name, strings.Join(places, "<br>"))
	}
	return table, missing
}

const document = "docs/conformance.md"

// A holder is a test that holds a row: what it claims and where it stands.
type holder struct{ claim, place string }

// TestConformance checks that each row of the catalogue has a test that is named after it, or stands in the document
// with a reason; and that the tables of the document say which.
func TestConformance(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	excused := excuses(string(text))
	holders := findHolders(t)
	var missing []string
	var tables strings.Builder
	for _, s := range required {
		fmt.Fprintf(&tables, "\n### %s\n\n| row | what the test claims | test |\n|---|---|---|\n", s.title)
		for _, r := range s.ranges {
			for n := r[0]; n <= r[1]; n++ {
				row := fmt.Sprintf("%s%02d", s.series, n)
				if len(holders[row]) == 0 && !excused[row] {
					missing = append(missing, row)
				}
				tables.WriteString(line(row, holders[row]))
			}
		}
	}
	modules, absent := tableOfModules(holders)
	tables.WriteString(modules)
	if missing = append(missing, absent...); len(missing) > 0 {
		t.Errorf("no test is named after %s, and %s gives no reason", strings.Join(missing, " "), document)
	}
	const begin, end = "<!-- rows: go test . -run Conformance -update -->\n", "\n<!-- end of rows -->"
	before, rest, ok := strings.Cut(string(text), begin)
	old, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has lost the marks %q and %q", document, begin, end)
	}
	if old == tables.String() {
		return
	}
	if !*update {
		t.Fatalf("the tables of %s are not up to date: go test . -run Conformance -update", document)
	}
	if err := os.WriteFile(document, []byte(before+begin+tables.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// line is the row of a table: what the tests claim, as far as it fits, and every place.
func line(row string, all []holder) string {
	if len(all) == 0 {
		return fmt.Sprintf("| %s | | none: see [Rows judged otherwise](#rows-judged-otherwise) |\n", row)
	}
	var claims, places []string
	for _, h := range all {
		if h.claim != "" && !slices.Contains(claims, h.claim) && len(strings.Join(claims, "; "))+len(h.claim) < 160 {
			claims = append(claims, h.claim)
		}
		if place := "`" + h.place + "`"; !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	slices.Sort(places)
	return fmt.Sprintf("| %s | %s | %s |\n", row, strings.ReplaceAll(strings.Join(claims, "; "), "|", `\|`), strings.Join(places, "<br>"))
}

var (
	rowID    = regexp.MustCompile(`\b(?:(?:AS|CA|RG|RS|ST|OP|CO)-?|[TAIVWSCXJMDR])\d\d\b`)
	moduleID = regexp.MustCompile(`\bfapi2-security-profile-final-([A-Za-z0-9-]+)`)
	funcRows = regexp.MustCompile(`[A-Z]+\d+`)
	leading  = regexp.MustCompile(`^(?:(?:(?:AS|CA|RG|RS|ST|OP|CO)-?|[TAIVWSCXJMDR])\d\d\b(?:[ ,:/–-]| and )*)+`)
	verb     = regexp.MustCompile(`%[+#]?[a-zT]\b`)
	capital  = regexp.MustCompile(`([A-Z][a-z]+)`)
	failure  = regexp.MustCompile(`^(Error|Fatal|Log|Skip)f?$`)
	excuse   = regexp.MustCompile(`(?m)^- \*\*([^*]+)\*\*`)
)

// rows returns the row IDs that text begins with, and what follows them.
func rows(text string) (ids []string, claim string) {
	head := leading.FindString(text)
	for _, id := range rowID.FindAllString(head, -1) {
		ids = append(ids, canonical(id))
	}
	claim = strings.Trim(text[len(head):], " .,:")
	if verb.MatchString(claim) {
		claim = "" // a message
	}
	return ids, claim
}

// canonical writes AS05 as AS-05.
func canonical(id string) string {
	if id[1] >= 'A' && id[1] <= 'Z' && id[2] != '-' {
		return id[:2] + "-" + id[2:]
	}
	return id
}

// excuses returns the rows that the document lists under "Rows judged otherwise".
func excuses(text string) map[string]bool {
	found := map[string]bool{}
	_, section, _ := strings.Cut(text, "\n## Rows judged otherwise\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, bold := range excuse.FindAllStringSubmatch(section, -1) {
		for _, id := range rowID.FindAllString(bold[1], -1) {
			found[canonical(id)] = true
		}
	}
	return found
}

// findHolders reads every test of the tree: the names of test functions and the texts in them that begin with a row,
// which are the names of subtests; and in testdata the headings and names of cases, and the names of scripts.
func findHolders(t *testing.T) map[string][]holder {
	holders := map[string][]holder{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path != "." && strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules" || path == "bin" || path == "drills"): // drills have names of their own, R01 too
			return filepath.SkipDir
		case strings.HasSuffix(path, "_test.go") && path != "conformance_test.go", isStoretest(path):
			return inGo(path, holders)
		case strings.Contains(path, "testdata/") && (strings.HasSuffix(path, ".txt") || strings.HasSuffix(path, ".txtar")):
			return inScript(path, holders)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return holders
}

// isStoretest tells the contract of the stores, whose tests are in an ordinary package so that three stores can run it.
func isStoretest(path string) bool {
	return strings.HasPrefix(path, "internal/store/storetest/") && strings.HasSuffix(path, ".go")
}

func inGo(path string, holders map[string][]holder) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, declaration := range file.Decls {
		place, fallback := path, ""
		if f, ok := declaration.(*ast.FuncDecl); ok {
			place += " " + f.Name.Name
			fallback = claimOf(f)
			inName(f, place, holders)
			inModule(f.Doc.Text(), place, holders)
		}
		messages := map[ast.Node]bool{} // what a test says when it fails is not what it claims
		ast.Inspect(declaration, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && failure.MatchString(f.Sel.Name) && len(n.Args) > 0 {
					messages[n.Args[0]] = true
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
					ids, claim := rows(text)
					if messages[n] || claim == "" {
						claim = fallback
					}
					add(holders, ids, claim, place)
					inModule(text, place, holders)
				}
			}
			return true
		})
	}
	return nil
}

// inModule finds the names of modules in the comment of a test and in the names of subtests.
func inModule(text, place string, holders map[string][]holder) {
	for _, name := range moduleID.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(holders[name[1]], holder{"", place}) {
			add(holders, []string{name[1]}, "", place)
		}
	}
}

// inName finds the rows in the name of a test. Drills are called R01 and so on in a catalogue of their own.
func inName(f *ast.FuncDecl, place string, holders map[string][]holder) {
	name := f.Name.Name
	if strings.HasPrefix(name, "Test") && !strings.HasPrefix(name, "TestDrill") || strings.HasPrefix(name, "Fuzz") {
		for _, id := range funcRows.FindAllString(name, -1) { // RS09, and not the algorithm RS256
			if ids, _ := rows(id); len(ids) > 0 {
				add(holders, ids, claimOf(f), place)
			}
		}
	}
}

// claimOf is what a function claims: the first sentence of its comment, else what its name says beside the rows.
func claimOf(f *ast.FuncDecl) string {
	comment := strings.TrimPrefix(strings.Join(strings.Fields(f.Doc.Text()), " "), f.Name.Name)
	claim, _, _ := strings.Cut(comment, ". ")
	if claim = strings.Trim(claim, " .:,"); claim != "" {
		return claim
	}
	rest := funcRows.ReplaceAllString(strings.TrimPrefix(f.Name.Name, "Test"), "")
	return strings.ToLower(strings.TrimSpace(capital.ReplaceAllString(strings.ReplaceAll(rest, "_", " "), " $1")))
}

func inScript(path string, holders map[string][]holder) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	ids, _ := rows(strings.ToUpper(filepath.Base(path)))
	add(holders, ids, "", path)
	for lines := bufio.NewScanner(strings.NewReader(string(data))); lines.Scan(); {
		text := lines.Text()
		for _, mark := range []string{"## ", "# ", "name: "} {
			if name, ok := strings.CutPrefix(text, mark); ok {
				ids, claim := rows(name)
				add(holders, ids, claim, path)
				break
			}
		}
	}
	return nil
}

func add(holders map[string][]holder, ids []string, claim, place string) {
	for _, id := range ids {
		holders[id] = append(holders[id], holder{claim, place})
	}
}
