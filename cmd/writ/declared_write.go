package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// yamlOf writes JSON as YAML, its members in the same order. A text is in quotes, as JSON has it, unless every reader of YAML
// takes it for text.
func yamlOf(data []byte) ([]byte, error) {
	w := &yamlWriter{decoder: json.NewDecoder(bytes.NewReader(data))}
	w.decoder.UseNumber()
	err := w.value(0, "")
	return w.out.Bytes(), err
}

type yamlWriter struct {
	decoder *json.Decoder
	out     bytes.Buffer
}

// value writes a value that stands behind lead: a key with its colon, or the dash of a list.
func (w *yamlWriter) value(indent int, lead string) error {
	next, err := w.decoder.Token()
	if err != nil {
		return err
	}
	delim, nested := next.(json.Delim)
	switch {
	case !nested:
		text, err := scalarText(next)
		w.out.WriteString(lead + text + "\n")
		return err
	case !w.decoder.More():
		w.out.WriteString(lead + map[json.Delim]string{'[': "[]", '{': "{}"}[delim] + "\n")
	case delim == '[':
		if lead != "" {
			w.out.WriteString(strings.TrimSuffix(lead, " ") + "\n")
		}
		for w.decoder.More() {
			if err := w.value(indent+2, strings.Repeat(" ", indent)+"- "); err != nil {
				return err
			}
		}
	default:
		if err := w.members(indent, lead); err != nil {
			return err
		}
	}
	_, err = w.decoder.Token() // the end of it
	return err
}

// members writes an object, the first member behind a dash if there is one.
func (w *yamlWriter) members(indent int, lead string) error {
	first := strings.Repeat(" ", indent)
	if strings.HasSuffix(lead, "- ") {
		first = lead
	} else if lead != "" {
		w.out.WriteString(strings.TrimSuffix(lead, " ") + "\n")
	}
	for w.decoder.More() {
		key, err := w.decoder.Token()
		if err != nil {
			return err
		}
		name, err := scalarText(key)
		if err == nil {
			err = w.value(indent+2, first+name+": ")
		}
		if err != nil {
			return err
		}
		first = strings.Repeat(" ", indent)
	}
	return nil
}

// plainText is text that means nothing else in any version of YAML, but for the words below.
var plainText = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*$`)

var notText = []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null"}

func scalarText(value json.Token) (string, error) {
	if text, ok := value.(string); ok && plainText.MatchString(text) && !slices.Contains(notText, strings.ToLower(text)) {
		return text, nil
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return strings.TrimSuffix(out.String(), "\n"), err
}
