package authority

import (
	"maps"
	"net/url"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

// formOf makes a form of parameters that are named.
func formOf(values url.Values) (form Form) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		form.set(name, values[name]...)
	}
	return form
}

// set replaces a parameter.
func (f *Form) set(name string, values ...string) {
	*f = slices.DeleteFunc(*f, func(p Parameter) bool { return p.Name == name })
	for _, value := range values {
		*f = append(*f, Parameter{name, value})
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
