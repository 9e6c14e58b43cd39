package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/writ-auth/writ/internal/store"
)

// facts are an object as lists of texts by the path of the member that they stand at. Lists are compared as sets: the order of
// scopes, grants and roles says nothing.
type facts map[string][]string

// factsOf returns the facts of what is written as JSON, but for the member that names it. Members that are left out of the JSON
// are no facts.
func factsOf(object any, name string) facts {
	data, err := json.Marshal(object)
	var value any
	if err == nil {
		numbers := json.NewDecoder(bytes.NewReader(data))
		numbers.UseNumber()
		err = numbers.Decode(&value)
	}
	if err != nil {
		return facts{"": {err.Error()}} // of plain structs it cannot be
	}
	f := facts{}
	f.gather("", value)
	delete(f, name)
	return f
}

func (f facts) gather(path string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			below := name
			if path != "" {
				below = path + "." + name
			}
			if text, err := json.Marshal(member); err == nil && (path == "claims" || strings.HasSuffix(path, "].claims")) {
				f[below] = []string{string(text)} // as a whole: in there, the order of a list may say something
				continue
			}
			f.gather(below, member)
		}
	case []any:
		for i, item := range value {
			if object, ok := item.(map[string]any); ok {
				f.gatherItem(fmt.Sprintf("%s[%s]", path, keyIn(object, i)), object)
				continue
			}
			f.gather(path, item)
		}
	default:
		f[path] = append(f[path], fmt.Sprint(value))
	}
}

// keyIn returns what an object in a list is found by, which counts for more than its place.
func keyIn(object map[string]any, place int) string {
	for _, name := range []string{"resource", "name"} {
		if text, ok := object[name].(string); ok {
			return text
		}
	}
	return fmt.Sprint(place)
}

// gatherItem gathers an object in a list. That it is there is a fact, too.
func (f facts) gatherItem(path string, object map[string]any) {
	f[path] = []string{"yes"}
	for name, member := range object {
		if name != "resource" && name != "name" {
			f.gather(path+"."+name, member)
		}
	}
}

// clientFacts are what the registry keeps about a client and operators decide. Secrets are none.
func clientFacts(record store.Client) facts {
	metadata := metadataOf(record)
	metadata.JWKS = nil
	f := factsOf(metadata, "client_name")
	for _, key := range record.Keys {
		f["keys"] = append(f["keys"], fmt.Sprintf("%s (%s, SHA-256 %s)", key.ID, key.Algorithm, thumbprint(key)))
		if len(key.Certificate) > 0 {
			f["certificates"] = append(f["certificates"], keyOf(key, nil).CertificateSubject+" of "+key.ID)
		}
	}
	f.limits(record)
	if record.Suspended {
		f["suspended"] = []string{"true"}
	}
	if record.FormerMethod != "" {
		f["former_method"] = []string{record.FormerMethod}
	}
	return f
}

// compare returns what is different, in the order of the paths.
func compare(was, is facts) []DeclaredField {
	paths := maps.Clone(was)
	if paths == nil {
		paths = facts{}
	}
	maps.Copy(paths, is)
	var fields []DeclaredField
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		field := DeclaredField{Field: path, Removed: without(was[path], is[path]), Added: without(is[path], was[path])}
		if len(field.Removed)+len(field.Added) > 0 {
			fields = append(fields, field)
		}
	}
	return fields
}

// without returns the texts that are not among others, in order.
func without(texts, others []string) []string {
	var left []string
	for _, text := range texts {
		if !slices.Contains(others, text) {
			left = append(left, text)
		}
	}
	slices.Sort(left)
	return left
}
