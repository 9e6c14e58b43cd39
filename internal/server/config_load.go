package server

import (
	"slices"
	"strings"
)

// Load returns the configuration that a command was given: a flag goes before an environment variable, that before the
// file, that before the default.
//
// path is a YAML file, or empty. env has the form of os.Environ: WRIT_LISTEN sets listen, WRIT_TOKENS_TTL sets
// tokens.ttl; an empty variable counts as not set, and one that nothing here is named after is left to its owner (in
// Kubernetes every service called writ brings some). flags are by path: "tokens.ttl".
//
// Nothing is expanded: a value with ${VAR} is refused, because a variable that is not set must stop the start and not
// become an empty secret. The error is a Problems with everything that is wrong, Validate's findings included.
func Load(path string, env []string, flags map[string]string) (Config, error) {
	c := Default()
	var problems Problems
	if path != "" {
		problems = readFile(path, &c)
	}
	environment := map[string]string{}
	for _, variable := range env {
		if name, text, _ := strings.Cut(variable, "="); text != "" {
			environment[name] = text
		}
	}
	problems = append(problems, overlay(&c, func(f field) (string, string, bool) {
		text, found := environment[f.env()]
		return f.env(), text, found
	})...)
	problems = append(problems, overlay(&c, func(f field) (string, string, bool) {
		text, found := flags[f.path]
		return "flag", text, found
	})...)
	for _, path := range unknown(&c, flags) {
		problems = append(problems, Problem{Field: path, Text: "there is no such setting", Where: "flag"})
	}
	for _, found := range c.problems() {
		if !problems.about(found.Field) {
			problems = append(problems, found)
		}
	}
	return c, problems.err()
}

// unknown returns the paths that name no field, in order.
func unknown(c *Config, flags map[string]string) []string {
	known := map[string]bool{}
	for _, f := range fieldsOf(c) {
		known[f.path] = true
	}
	var paths []string
	for path := range flags {
		if !known[path] {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// overlay sets what one source says over what is there. look returns where a field's text stands, the text, and whether
// there is one.
func overlay(c *Config, look func(field) (where, text string, found bool)) Problems {
	var problems Problems
	var set []string
	for _, f := range fieldsOf(c) {
		where, text, found := look(f)
		if !found {
			continue
		}
		set = append(set, f.path)
		if err := assign(f.value, f.split(text)...); err != nil {
			problems = append(problems, Problem{Field: f.path, Text: err.Error(), Where: where})
		}
	}
	settle(c, set)
	return problems
}

// settle lets a source that sets one of two fields which exclude each other win over a source below it. When one source
// sets both, both stay, and Validate refuses them.
func settle(c *Config, set []string) {
	database, file := slices.Contains(set, "database"), slices.Contains(set, "database_file")
	if database && !file {
		c.DatabaseFile = ""
	}
	if file && !database {
		c.Database = ""
	}
}
