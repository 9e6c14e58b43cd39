package endpoint

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzForm: a form that is taken has no parameter twice but resource, is UTF-8 and bounded, and means the same to net/url, which also
// takes whatever else is so.
func FuzzForm(f *testing.F) {
	for _, body := range []string{
		"", "&", "=", "a", "a=1&a=1", "resource=x&resource=y", "a=%zz", "a=1;b=2", "a=%ff", "%ff=a", "a=%00", "a=+%2B",
		"grant_type=client_credentials&scope=read", strings.Repeat("&", 63), strings.Repeat("a&", 64), "a=1&%61=2",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := decodeForm(body)
		want, wantErr := url.ParseQuery(body)
		good := wantErr == nil && strings.Count(body, "&") < maxFormParameters
		for name, values := range want {
			good = good && (len(values) == 1 || name == "resource") && utf8.ValidString(name+"&"+strings.Join(values, "&"))
		}
		if good != (err == nil) {
			t.Fatalf("%q: %v, and net/url has %v, %v", body, err, want, wantErr)
		}
		if err != nil {
			return
		}
		got := url.Values{}
		for _, parameter := range form {
			got.Add(parameter.Name, parameter.Value)
		}
		if len(form) > maxFormParameters || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is %v, and to net/url %v", body, form, want)
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
