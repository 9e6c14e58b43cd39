package endpoint

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzForm: a form that is taken has no parameter twice but resource, is UTF-8 and bounded, and means the same to whoever
// writes and reads it again.
func FuzzForm(f *testing.F) {
	for _, body := range []string{
		"", "&", "=", "a", "a=1&a=1", "resource=x&resource=y", "a=%zz", "a=1;b=2", "a=%ff", "%ff=a", "a=%00", "a=+%2B",
		"grant_type=client_credentials&scope=read", strings.Repeat("&", 63), strings.Repeat("a&", 64), "a=1&%61=2",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := decodeForm(body)
		if err != nil {
			return
		}
		count := 0
		for name, values := range form {
			count += len(values)
			if len(values) != 1 && name != "resource" {
				t.Fatalf("%q: parameter %q stands %d times", body, name, len(values))
			}
			for _, value := range values {
				if !utf8.ValidString(name + value) {
					t.Fatalf("%q: %q is not UTF-8", body, name)
				}
			}
		}
		if count > maxFormParameters || strings.Contains(body, ";") {
			t.Fatalf("%q: %d parameters", body, count)
		}
		again, err := decodeForm(url.Values(form).Encode())
		if err != nil || !reflect.DeepEqual(form, again) {
			t.Fatalf("%q is %v, and that %v, %v", body, form, again, err)
		}
	})
}

// FuzzQuery: no query gets past that another parser would find a credential in.
func FuzzQuery(f *testing.F) {
	for _, query := range []string{"", "a=b", "client_secret=x", "a;client_secret=x", "client%5Fsecret=x", "x=%zz&token=y", "&&token", "a=token"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if checkQuery(query) != nil {
			return
		}
		pieces := strings.FieldsFunc(query, func(c rune) bool { return c == '&' || c == ';' })
		for _, piece := range pieces {
			name, _, _ := strings.Cut(piece, "=")
			if decoded, err := url.QueryUnescape(name); err == nil {
				name = decoded
			}
			for _, forbidden := range []string{"client_id", "client_secret", "client_assertion", "access_token", "token"} {
				if name == forbidden {
					t.Fatalf("%q has %s", query, forbidden)
				}
			}
		}
	})
}
