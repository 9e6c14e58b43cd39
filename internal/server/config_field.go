package server

import (
	"net/netip"
	"reflect"
	"strings"
)

// A field is one thing that can be set: a leaf of Config.
type field struct {
	path  string // tokens.ttl: its name in a file, on the command line and in every problem
	tag   reflect.StructTag
	value reflect.Value // addressable, within the Config that fieldsOf was given
}

// env is the variable that sets the field: tokens.ttl is WRIT_TOKENS_TTL.
func (f field) env() string {
	return "WRIT_" + strings.ToUpper(strings.ReplaceAll(f.path, ".", "_"))
}

func (f field) list() bool {
	switch f.value.Interface().(type) {
	case []netip.Prefix, []string:
		return true
	}
	return false
}

// split returns the values in one line of text, as the environment and flags have them: lists are separated by commas.
func (f field) split(text string) []string {
	if !f.list() {
		return []string{text}
	}
	if strings.TrimSpace(text) == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// fieldsOf returns the leaves of a Config in the order of their declaration.
func fieldsOf(c *Config) []field { return leaves("", reflect.ValueOf(c).Elem()) }

func leaves(prefix string, structure reflect.Value) []field {
	var out []field
	for i := range structure.NumField() {
		member, value := structure.Type().Field(i), structure.Field(i)
		path := prefix + member.Tag.Get("yaml")
		if value.Kind() == reflect.Struct {
			out = append(out, leaves(path+".", value)...)
			continue
		}
		out = append(out, field{path: path, tag: member.Tag, value: value})
	}
	return out
}

// Default returns the configuration that nothing was set in.
func Default() Config {
	var c Config
	for _, f := range fieldsOf(&c) {
		if text := f.tag.Get("default"); text != "" {
			if err := assign(f.value, text); err != nil {
				panic("server: default of " + f.path + ": " + err.Error())
			}
		}
	}
	return c
}
