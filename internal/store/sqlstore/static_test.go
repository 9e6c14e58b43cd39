package sqlstore_test

import (
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

	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// TestST15 reads the code of the repository, tests aside. Its rule, which is enough to keep every value from outside out
// of SQL:
//
//  1. No package but this one imports database/sql, a driver, or goose.
//  2. A method that takes the text of a statement is given a string literal, a constant, or string(p), where p is a
//     parameter of type sqlText of the function around it.
//  3. A sqlText is never made by conversion, only by the compiler from constants, and by joining those. Since Go does
//     not mix string with sqlText, nothing computed from input can be one.
//  4. The simple protocol, with which a driver puts values into the text itself, is named nowhere.
func TestST15(t *testing.T) {
	root := "../../.."
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "tools") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen++
		ours := filepath.Base(filepath.Dir(path)) == "sqlstore"
		for _, problem := range sqlProblems(t, path, string(text), ours) {
			t.Error(problem)
		}
		return nil
	})
	if err != nil || seen < 20 {
		t.Fatalf("read %d files, %v, want the whole repository", seen, err)
	}
}

// TestST15Rule shows the rule what it must find, and what it must let pass.
func TestST15Rule(t *testing.T) {
	const head = "package sqlstore\n"
	for name, test := range map[string]struct {
		ours bool
		text string
		want string // in the one problem; none if empty
	}{
		"ST15 sql elsewhere":         {false, `import "database/sql"`, "may not import"},
		"ST15 sql/driver elsewhere":  {false, `import "database/sql/driver"`, "may not import"},
		"ST15 pgx elsewhere":         {false, `import _ "github.com/jackc/pgx/v5/stdlib"`, "may not import"},
		"ST15 pgx here":              {true, `import _ "github.com/jackc/pgx/v5/stdlib"`, ""},
		"ST15 simple protocol":       {true, `var mode = pgx.QueryExecMode` + `SimpleProtocol`, "simple protocol"},
		"ST15 literal":               {true, "func f() { db.Exec(`SELECT 1`) }", ""},
		"ST15 literals joined":       {true, `func f() { db.Exec("SELECT" + " 1") }`, ""},
		"ST15 constant":              {true, "const one = `SELECT 1`\nfunc f() { db.QueryContext(ctx, one) }", ""},
		"ST15 parameter":             {true, `func f(text sqlText) { db.QueryContext(ctx, string(text)) }`, ""},
		"ST15 Sprintf":               {true, `func f(s string) { db.ExecContext(ctx, fmt.Sprintf("SELECT %s", s)) }`, "text of a statement"},
		"ST15 concatenation":         {true, `func f(s string) { db.ExecContext(ctx, "SELECT " + s) }`, "text of a statement"},
		"ST15 concatenated behind":   {true, `func f(text sqlText, s string) { db.ExecContext(ctx, string(text) + s) }`, "text of a statement"},
		"ST15 variable":              {true, `func f(s string) { db.PrepareContext(ctx, s) }`, "text of a statement"},
		"ST15 parameter of another":  {true, `func f(text string) { db.QueryContext(ctx, string(text)) }`, "text of a statement"},
		"ST15 parameter of no one":   {true, `func f() { db.QueryContext(ctx, string(text)) }`, "text of a statement"},
		"ST15 conversion":            {true, `func f(s string) { g(sqlText(s)) }`, "conversion"},
		"ST15 conversion by bracket": {true, `func f(s string) { g((sqlText)(s)) }`, "conversion"},
		"ST15 conversion by alias":   {true, `type other = sqlText`, "another name"},
		"ST15 conversion by type":    {true, `type other sqlText`, "another name"},
		"ST15 conversion by generic": {true, `func f[T ~string](s string) T { return T(s) }`, "~string"},
		"ST15 pgx constant":          {true, "const one = `SELECT 1`\nfunc f() { connection.Exec(ctx, one) }", ""},
		"ST15 pgx concatenation":     {true, `func f(s string) { connection.Exec(ctx, "SELECT " + s) }`, "text of a statement"},
		"ST15 argument":              {true, "func f(s string) { statement.ExecContext(ctx, s, args...) }", ""},
		"ST15 argument, not first":   {true, "func f(s string) { db.ExecContext(ctx, `SELECT $1`, s) }", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := sqlProblems(t, "x.go", head+test.text, test.ours)
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
				t.Errorf("got %q, want one problem with %q, or none if that is empty", got, test.want)
			}
		})
	}
}

var (
	speaksSQL = regexp.MustCompile(`^(database/sql|github\.com/(jackc|ncruces/go-sqlite3|pressly/goose)/?)`)
	// takesText are the methods of database/sql and the drivers that take the text of a statement, and where.
	takesText = map[string]int{
		"Exec": 0, "Query": 0, "QueryRow": 0, "Prepare": 0,
		"ExecContext": 1, "QueryContext": 1, "QueryRowContext": 1, "PrepareContext": 1,
	}
)

func sqlProblems(t *testing.T, path, text string, ours bool) (problems []string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	problem := func(node ast.Node, format string, values ...any) {
		problems = append(problems, fmt.Sprintf("%s: %s", files.Position(node.Pos()), fmt.Sprintf(format, values...)))
	}
	if strings.Contains(text, "QueryExecMode"+"SimpleProtocol") {
		problem(file, "the simple protocol puts values into the text of a statement")
	}
	for _, i := range file.Imports {
		if path, _ := strconv.Unquote(i.Path.Value); !ours && speaksSQL.MatchString(path) {
			problem(i, "may not import %s: only sqlstore speaks SQL", path)
		}
	}
	if !ours {
		return problems
	}
	checkTexts(file, problem)
	return problems
}

func checkTexts(file *ast.File, problem func(ast.Node, string, ...any)) {
	var function *ast.FuncDecl // around what is being looked at
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.FuncDecl:
			function = n
		case *ast.TypeSpec:
			if isName(n.Type, "sqlText") {
				problem(n, "sqlText may not have another name")
			}
		case *ast.UnaryExpr:
			if n.Op == token.TILDE && isName(n.X, "string") {
				problem(n, "a type parameter of ~string would make a sqlText of any string")
			}
		case *ast.CallExpr:
			if isName(ast.Unparen(n.Fun), "sqlText") {
				problem(n, "conversion to sqlText")
			}
			method, ok := n.Fun.(*ast.SelectorExpr)
			if !ok {
				break
			}
			at, takes := takesText[method.Sel.Name]
			if at == 0 && len(n.Args) > 1 && isName(n.Args[0], "ctx") {
				at = 1 // a method of pgx
			}
			if takes && len(n.Args) > at && !onStatement(method) && !constant(n.Args[at], file) && !ofParameter(n.Args[at], function) {
				problem(n, "the text of a statement is not a constant or string(p) of a parameter p of type sqlText")
			}
		}
		return true
	})
}

// onStatement reports whether the method is a *sql.Stmt's, which has its text already. By the variable's name: a
// database of that name would be a lie that review sees.
func onStatement(method *ast.SelectorExpr) bool { return isName(method.X, "statement") }

func constant(e ast.Expr, file *ast.File) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.BinaryExpr:
		return constant(e.X, file) && constant(e.Y, file)
	case *ast.Ident:
		for _, d := range file.Decls {
			declared, ok := d.(*ast.GenDecl)
			if ok && declared.Tok == token.CONST && slices.ContainsFunc(declared.Specs, func(s ast.Spec) bool { return declares(s, e.Name) }) {
				return true
			}
		}
	}
	return false
}

func declares(s ast.Spec, name string) bool {
	return slices.ContainsFunc(s.(*ast.ValueSpec).Names, func(n *ast.Ident) bool { return n.Name == name })
}

// ofParameter reports whether e is string(p), with p a parameter of type sqlText of the function.
func ofParameter(e ast.Expr, function *ast.FuncDecl) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok || !isName(call.Fun, "string") || len(call.Args) != 1 || function == nil {
		return false
	}
	argument, ok := call.Args[0].(*ast.Ident)
	return ok && slices.ContainsFunc(function.Type.Params.List, func(f *ast.Field) bool {
		return isName(f.Type, "sqlText") && slices.ContainsFunc(f.Names, func(n *ast.Ident) bool { return n.Name == argument.Name })
	})
}

func isName(e ast.Expr, name string) bool {
	identifier, ok := e.(*ast.Ident)
	return ok && identifier.Name == name
}

// TestPlaceholders: SQLite numbers $1, $2, … as it meets them, PostgreSQL as they say.
func TestPlaceholders(t *testing.T) {
	texts := sqlstore.Statements()
	if len(texts) < 30 {
		t.Fatalf("got %d statements, want all", len(texts))
	}
	for _, text := range texts {
		met := 0
		for _, p := range regexp.MustCompile(`\$(\d+)`).FindAllStringSubmatch(text, -1) {
			n, _ := strconv.Atoi(p[1])
			if n > met+1 {
				t.Errorf("%s: $%d before $%d", text, n, met+1)
			}
			met = max(met, n)
		}
	}
}
