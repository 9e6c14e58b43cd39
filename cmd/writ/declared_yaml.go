package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What a file may be. A YAML parser is given no more than it can take (CVE-2022-3064 was such a file).
const (
	maxYAMLTokens = 600_000
	maxYAMLDepth  = 20
)

// A yamlFile is a file while it is being read. Keys are exact; unknown ones, repeated ones, and YAML that can mean two things
// (anchors, tags, merges, several documents, octal numbers) are problems, each with its line.
type yamlFile struct {
	path     string
	lines    []string
	places   map[string]*token.Token // where the value of a member stands, by its path
	problems []string
}

// readYAML reads text into a struct, whose members are called as its json tags say.
func readYAML(path, text string, into any) *yamlFile {
	y := &yamlFile{path: path, lines: strings.Split(text, "\n"), places: map[string]*token.Token{}}
	tokens := lexer.Tokenize(text)
	if len(tokens) > maxYAMLTokens {
		y.refuse("", fmt.Sprintf("has more than %d words and signs", maxYAMLTokens))
		return y
	}
	tree, err := parser.Parse(tokens, 0)
	if err != nil {
		y.syntax(err)
		return y
	}
	found := false
	for _, document := range tree.Docs {
		switch {
		case document.Body == nil:
		case found:
			y.refuseAt(document.Body.GetToken(), "", "a second document begins here; put everything into one")
		default:
			found = true
			y.value("", document.Body, reflect.ValueOf(into).Elem(), 0)
		}
	}
	return y
}

func (y *yamlFile) syntax(err error) {
	var problem yaml.Error
	if errors.As(err, &problem) && problem.GetToken() != nil {
		y.refuseAt(problem.GetToken(), "", strings.ReplaceAll(problem.GetMessage(), "\t", `\t`))
		return
	}
	y.refuse("", "is not YAML")
}

// value reads a node into a value of the kinds that a registry has.
func (y *yamlFile) value(path string, node ast.Node, into reflect.Value, depth int) {
	y.places[path] = node.GetToken()
	if depth > maxYAMLDepth {
		y.refuseAt(node.GetToken(), path, "nests too deep")
		return
	}
	if raw, ok := into.Addr().Interface().(*json.RawMessage); ok {
		if value, ok := y.generic(path, node, depth); ok {
			*raw, _ = json.Marshal(value) // of maps, lists and texts
		}
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		y.value(path, node, into.Elem(), depth)
	case reflect.Struct:
		y.object(path, node, into, depth)
	case reflect.Slice:
		y.list(path, node, into, depth)
	default:
		y.scalar(path, node, into)
	}
}

func (y *yamlFile) object(path string, node ast.Node, into reflect.Value, depth int) {
	members, ok := membersOf(node)
	if !ok {
		y.refuseAt(node.GetToken(), path, "must be a mapping, KEY: VALUE"+hint(node))
		return
	}
	known := map[string]reflect.Value{}
	jsonMembers(into, known)
	for _, member := range members {
		key, plain := member.Key.(*ast.StringNode)
		switch {
		case !plain:
			y.refuseAt(member.Key.GetToken(), path, "this key must be a plain word")
		case !known[key.Value].IsValid():
			y.refuseAt(key.GetToken(), memberPath(path, key.Value), "unknown key"+nearest(key.Value, known))
		case member.Value.Type() == ast.NullType:
			y.refuseAt(key.GetToken(), memberPath(path, key.Value), "has no value; give one, such as [] for an empty list, or remove the line")
		default:
			y.value(memberPath(path, key.Value), member.Value, known[key.Value], depth+1)
			y.places[memberPath(path, key.Value)] = key.GetToken()
		}
	}
}

func (y *yamlFile) list(path string, node ast.Node, into reflect.Value, depth int) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		y.refuseAt(node.GetToken(), path, "must be a list, such as [a, b]"+hint(node))
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(sequence.Values), len(sequence.Values)))
	for i, item := range sequence.Values {
		y.value(fmt.Sprintf("%s[%d]", path, i), item, into.Index(i), depth+1)
	}
}

// plainFraction is a number that is the same in YAML and in JSON, which export writes.
var plainFraction = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?(e[+-]?[0-9]{1,3})?$`)

var plainInteger = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,17})$`)

// scalar reads a single value. The parser's idea of numbers is not asked: 010 must not become 8.
func (y *yamlFile) scalar(path string, node ast.Node, into reflect.Value) {
	text, isText := textOf(node)
	word := node.GetToken().Value
	switch {
	case into.Kind() == reflect.String && isText:
		into.SetString(text)
	case into.Kind() == reflect.String && node.Type() != ast.MappingType && node.Type() != ast.SequenceType && hint(node) == "":
		y.refuseAt(node.GetToken(), path, "must be text: put it in quotes, "+strconv.Quote(word))
	case into.Kind() == reflect.Bool && node.Type() == ast.BoolType && (word == "true" || word == "false"):
		into.SetBool(word == "true")
	case into.Kind() == reflect.Bool:
		y.refuseAt(node.GetToken(), path, "must be true or false"+hint(node))
	case into.CanInt() && node.Type() == ast.IntegerType && plainInteger.MatchString(word):
		n, _ := strconv.ParseInt(word, 10, 64) // 18 digits fit
		into.SetInt(n)
	case into.CanInt():
		y.refuseAt(node.GetToken(), path, "must be a whole number"+hint(node))
	default:
		y.refuseAt(node.GetToken(), path, "must be a single text"+hint(node))
	}
}

// generic reads what is handed on as JSON: a key set, or claims.
func (y *yamlFile) generic(path string, node ast.Node, depth int) (any, bool) {
	if depth > maxYAMLDepth {
		y.refuseAt(node.GetToken(), path, "nests too deep")
		return nil, false
	}
	if members, ok := membersOf(node); ok {
		object := map[string]any{}
		for _, member := range members {
			key, plain := member.Key.(*ast.StringNode)
			if !plain {
				y.refuseAt(member.Key.GetToken(), path, "this key must be a plain word")
				return nil, false
			}
			if object[key.Value], ok = y.generic(memberPath(path, key.Value), member.Value, depth+1); !ok {
				return nil, false
			}
		}
		return object, true
	}
	if sequence, ok := node.(*ast.SequenceNode); ok {
		list := make([]any, len(sequence.Values))
		for i, item := range sequence.Values {
			at := fmt.Sprintf("%s[%d]", path, i)
			y.places[at] = item.GetToken()
			if list[i], ok = y.generic(at, item, depth+1); !ok {
				return nil, false
			}
		}
		return list, true
	}
	word := node.GetToken().Value
	text, isText := textOf(node)
	switch {
	case isText:
		return text, true
	case node.Type() == ast.BoolType:
		return word == "true", true
	case node.Type() == ast.IntegerType && plainInteger.MatchString(word):
		return json.Number(word), true
	case node.Type() == ast.FloatType && plainFraction.MatchString(word):
		return json.Number(word), true
	}
	y.refuseAt(node.GetToken(), path, "must be text, a number in decimal, true or false"+hint(node))
	return nil, false
}

func membersOf(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch node := node.(type) {
	case *ast.MappingNode:
		return node.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{node}, true
	}
	return nil, false
}

func textOf(node ast.Node) (string, bool) {
	switch node := node.(type) {
	case *ast.StringNode:
		return node.Value, true
	case *ast.LiteralNode:
		return node.Value.Value, true
	}
	return "", false
}

// hint says more about what could never have been meant.
func hint(node ast.Node) string {
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		return "; anchors, aliases and tags are not used here: write the value itself"
	}
	return ""
}

// jsonMembers finds the members of a struct, those of what it embeds included.
func jsonMembers(of reflect.Value, found map[string]reflect.Value) {
	for i := range of.NumField() {
		field := of.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			jsonMembers(of.Field(i), found)
		case field.IsExported() && name != "" && name != "-":
			found[name] = of.Field(i)
		}
	}
}

// nearest names the known key that was probably meant.
func nearest(key string, known map[string]reflect.Value) string {
	for name := range known {
		if strings.ReplaceAll(strings.ToLower(key), "-", "_") == name || strings.TrimSuffix(name, "s") == strings.TrimSuffix(key, "s") {
			return fmt.Sprintf("; did you mean %q?", name)
		}
	}
	return ""
}

func memberPath(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

// refuse adds a problem with what stands at a path, or with what it is in.
func (y *yamlFile) refuse(path, text string) {
	for at := path; at != ""; at = at[:max(0, strings.LastIndexAny(at, ".["))] {
		if place, ok := y.places[at]; ok {
			y.refuseAt(place, path, text)
			return
		}
	}
	y.refuseAt(nil, path, text)
}

func (y *yamlFile) refuseAt(at *token.Token, path, text string) {
	text = steady(text)
	if path != "" {
		text = steady(path) + ": " + text
	}
	where := y.path
	if at != nil && at.Position != nil {
		where = fmt.Sprintf("%s:%d:%d", y.path, at.Position.Line, at.Position.Column)
		text += y.excerpt(at.Position.Line, at.Position.Column)
	}
	y.problems = append(y.problems, where+": "+text)
}

// delicate finds lines that may hold what must not be shown, such as a secret that somebody wrote into the file.
var delicate = regexp.MustCompile(`(?i)secret|password|passwd|token"?\s*:|writ_[a-z]+_`)

const longestExcerpt = 120

// excerpt shows a line with a caret below the column, unless the line may hold a secret.
func (y *yamlFile) excerpt(line, column int) string {
	if line < 1 || line > len(y.lines) || column < 1 || column > longestExcerpt || delicate.MatchString(y.lines[line-1]) {
		return ""
	}
	shown := []rune(steady(strings.TrimRight(y.lines[line-1], "\r")))
	if len(shown) > longestExcerpt {
		shown = append(shown[:longestExcerpt], '…')
	}
	number := fmt.Sprintf("%5d | ", line)
	return "\n" + number + string(shown) + "\n" + strings.Repeat(" ", len(number)+column-1) + "^"
}

// steady is text without what could steer a terminal.
func steady(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}

// maxShown is how many problems are told at once.
const maxShown = 20

func (y *yamlFile) err() error {
	shown := y.problems
	switch {
	case len(shown) == 0:
		return nil
	case len(shown) > maxShown:
		shown = append(shown[:maxShown:maxShown], fmt.Sprintf("and %d more problems", len(y.problems)-maxShown))
	}
	return errors.New(strings.Join(shown, "\n"))
}
