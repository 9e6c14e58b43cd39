package server

import (
	_ "embed" // config.go documents itself
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
)

//go:embed config.go
var configSource string

const docHead = `# Configuration

Made by ` + "`writ config doc`" + ` from the comments in internal/server/config.go: change them there.

` + "`writ serve`" + ` needs no configuration: it runs on loopback, with SQLite in ./writ-data. What is set is taken from, in this
order: a flag, an environment variable, the file given with ` + "`--config`" + `, the default. An empty variable counts as not set.

The file is YAML, at most 64 KiB. Unknown and repeated keys, anchors, tags and ` + "`${VAR}`" + ` are refused; nothing is expanded. Relative
file names begin at the working directory. Durations are written 30d, 12h, 5m, 10s or 250ms, sizes 65536, 64KiB or 1MiB;
lists are separated by commas in the environment. ` + "`writ config check`" + ` names every problem at once, as the server does before it
starts. A production file is in examples/production/writ.yaml.
`

// Doc returns docs/config.md: every field with its comment, default and variable.
func Doc() string {
	comments := fieldComments()
	c := Default()
	var b strings.Builder
	b.WriteString(docHead)
	describe(&b, comments, "", reflect.ValueOf(c))
	return b.String()
}

func describe(b *strings.Builder, comments map[string]string, prefix string, structure reflect.Value) {
	for i := range structure.NumField() {
		member := structure.Type().Field(i)
		path := prefix + member.Tag.Get("yaml")
		comment := comments[structure.Type().Name()+"."+member.Name]
		if structure.Field(i).Kind() == reflect.Struct {
			fmt.Fprintf(b, "\n## %s\n\n%s\n", path, comment)
			describe(b, comments, path+".", structure.Field(i))
			continue
		}
		fmt.Fprintf(b, "\n### %s\n\n%s\n\n", path, comment)
		b.WriteString(facts(field{path: path, tag: member.Tag, value: structure.Field(i)}))
	}
}

// facts is the line below a comment.
func facts(f field) string {
	var parts []string
	if text := f.tag.Get("default"); text != "" {
		parts = append(parts, "default `"+text+"`")
	}
	if low := f.tag.Get("min"); low != "" {
		parts = append(parts, "from `"+low+"` to `"+f.tag.Get("max")+"`")
	}
	if f.list() {
		parts = append(parts, "a list")
	}
	return strings.Join(append(parts, "variable `"+f.env()+"`"), " · ") + "\n"
}

// fieldComments reads the comments of config.go: "Tokens.TTL" to what is written above it.
func fieldComments() map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", configSource, parser.ParseComments)
	if err != nil {
		panic("server: config.go: " + err.Error()) // it was compiled into this very binary
	}
	comments := map[string]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.TypeSpec)
		if !ok {
			return true
		}
		for _, member := range spec.Type.(*ast.StructType).Fields.List {
			comments[spec.Name.Name+"."+member.Names[0].Name] = strings.TrimSpace(member.Doc.Text())
		}
		return false
	})
	return comments
}
