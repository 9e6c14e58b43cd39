package server

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What a configuration file may be. The parser takes time that grows with the square of some inputs, so its input is
// bounded before it sees it (CVE-2022-3064 was such a file).
const (
	maxFileBytes  = 64 << 10
	maxFileTokens = 4096
)

// A configFile is a file while it is being read into a Config.
type configFile struct {
	path     string
	lines    []string
	fields   map[string]field
	groups   map[string]bool
	set      []string
	problems Problems
}

// readFile sets what the file at path says. Keys are exact; unknown ones, repeated ones, and YAML that can mean two
// things (anchors, tags, several documents, octal numbers) are problems.
func readFile(path string, c *Config) Problems {
	text, mode, err := readSmall(path)
	if err != nil {
		return Problems{{Text: err.Error(), Where: path}}
	}
	f := &configFile{path: path, lines: strings.Split(text, "\n"), fields: map[string]field{}, groups: map[string]bool{}}
	for _, leaf := range fieldsOf(c) {
		f.fields[leaf.path] = leaf
		for i := range leaf.path {
			if leaf.path[i] == '.' {
				f.groups[leaf.path[:i]] = true
			}
		}
	}
	f.read(text)
	settle(c, f.set)
	if withPassword.MatchString(c.Database) && slices.Contains(f.set, "database") && mode.Perm()&0o007 != 0 {
		f.problems.add("database", "holds a password, and others can read %s (mode %04o): chmod 600 %s, or use database_file", path, mode.Perm(), path)
	}
	return f.problems
}

func readSmall(path string) (string, os.FileMode, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", 0, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return "", 0, err
	}
	if len(data) > maxFileBytes {
		return "", 0, fmt.Errorf("is larger than %s: this is no configuration of writ", Size(maxFileBytes))
	}
	return string(data), info.Mode(), nil
}

func (f *configFile) read(text string) {
	tokens := lexer.Tokenize(text)
	if len(tokens) > maxFileTokens {
		f.problems = append(f.problems, Problem{Where: f.path, Text: fmt.Sprintf("has more than %d words and signs: this is no configuration of writ", maxFileTokens)})
		return
	}
	tree, err := parser.Parse(tokens, 0)
	if err != nil {
		f.refuseSyntax(err)
		return
	}
	for i, document := range tree.Docs {
		if document.Body == nil {
			continue
		}
		if i > 0 {
			f.refuse(document.Body.GetToken(), "", "a second document begins here; put everything into one")
			return
		}
		f.group("", document.Body)
	}
}

func (f *configFile) refuseSyntax(err error) {
	var problem yaml.Error
	if errors.As(err, &problem) && problem.GetToken() != nil {
		f.refuse(problem.GetToken(), "", "%s", strings.ReplaceAll(problem.GetMessage(), "\t", `\t`))
		return
	}
	f.problems = append(f.problems, Problem{Where: f.path, Text: "is not YAML: " + redactDSN(err.Error())})
}

// group reads the members of the document or of a group such as tls.
func (f *configFile) group(path string, node ast.Node) {
	var members []*ast.MappingValueNode
	switch node := node.(type) {
	case *ast.MappingNode:
		members = node.Values
	case *ast.MappingValueNode:
		members = []*ast.MappingValueNode{node}
	default:
		f.refuse(node.GetToken(), path, "must be a mapping, KEY: VALUE on lines of their own")
		return
	}
	for _, member := range members {
		key, ok := member.Key.(*ast.StringNode)
		if !ok {
			f.refuse(member.Key.GetToken(), path, "this key must be a plain word")
			continue
		}
		f.member(strings.TrimPrefix(path+"."+key.Value, "."), key.GetToken(), member.Value)
	}
}

func (f *configFile) member(path string, at *token.Token, value ast.Node) {
	leaf, known := f.fields[path]
	switch {
	case f.groups[path] && value.Type() != ast.NullType:
		f.group(path, value)
	case f.groups[path], known && value.Type() == ast.NullType:
		f.refuse(at, path, "has no value; give one or remove the line")
	case known:
		f.leaf(leaf, value)
	default:
		f.refuse(at, path, "unknown key%s", f.suggestion(path))
	}
}

func (f *configFile) leaf(leaf field, value ast.Node) {
	f.set = append(f.set, leaf.path)
	nodes := []ast.Node{value}
	if sequence, list := value.(*ast.SequenceNode); list && leaf.list() {
		nodes = sequence.Values
	}
	var texts []string
	for _, node := range nodes {
		text, err := scalar(leaf, node)
		if err != nil {
			f.refuse(node.GetToken(), leaf.path, "%s", err)
			return
		}
		texts = append(texts, text)
	}
	if err := assign(leaf.value, texts...); err != nil {
		f.refuse(value.GetToken(), leaf.path, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// scalar returns a value as it stands in the file. The parser's idea of numbers is not asked: 010 must not become 8.
func scalar(leaf field, node ast.Node) (string, error) {
	var text string
	switch node := node.(type) {
	case *ast.StringNode:
		text = node.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		text = node.GetToken().Value
		switch leaf.value.Interface().(type) {
		case string, []string:
			return "", fmt.Errorf("must be text: put it in quotes, %q", text)
		}
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return "", errors.New("anchors, aliases and tags are not used here; write the value itself")
	default:
		return "", errors.New("must be a single value")
	}
	if strings.Contains(text, "${") {
		return "", fmt.Errorf("variables are not expanded here; set %s in the environment instead", leaf.env())
	}
	return text, nil
}

func (f *configFile) refuse(at *token.Token, path, format string, args ...any) {
	p := Problem{Field: path, Text: redactDSN(fmt.Sprintf(format, args...)), Where: f.path}
	if at != nil && at.Position != nil {
		p.Where = fmt.Sprintf("%s:%d:%d", f.path, at.Position.Line, at.Position.Column)
		p.Excerpt = f.excerpt(at.Position.Line, at.Position.Column)
	}
	f.problems = append(f.problems, p)
}

const maxExcerpt = 120

// excerpt shows a line with a caret below the column. Only that line: its neighbours may hold a password.
func (f *configFile) excerpt(line, column int) string {
	if line < 1 || line > len(f.lines) || column > maxExcerpt || withPassword.MatchString(f.lines[line-1]) {
		return ""
	}
	shown := []rune(strings.TrimRight(f.lines[line-1], "\r"))
	if len(shown) > maxExcerpt {
		shown = append(shown[:maxExcerpt], '…')
	}
	for i, r := range shown {
		if r < ' ' || r == 0x7f {
			shown[i] = ' '
		}
	}
	number := fmt.Sprintf("%5d | ", line)
	return number + string(shown) + "\n" + strings.Repeat(" ", len(number)+max(column, 1)-1) + "^"
}

// withPassword finds what an error must not show: passwords in URLs, and secrets of our own, which tell by their beginning.
var withPassword = regexp.MustCompile(`://[^@/\s]*:[^@\s]+@|\bwrit_[a-z]+_[A-Za-z0-9_-]{16,}`)

func redactDSN(s string) string { return withPassword.ReplaceAllString(s, "://…@") }

// suggestion names the known key that was probably meant.
func (f *configFile) suggestion(path string) string {
	best, distance := "", 3
	for _, known := range slices.Sorted(maps.Keys(f.fields)) {
		if d := editDistance(path, known); d < distance {
			best, distance = known, d
		}
	}
	for _, known := range slices.Sorted(maps.Keys(f.groups)) {
		if d := editDistance(path, known); d < distance {
			best, distance = known, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance is Levenshtein's, good enough for words.
func editDistance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j]+1, row[j+1]+1, cost)
		}
	}
	return row[len(b)]
}
