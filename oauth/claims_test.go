package oauth_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4/json"
	"github.com/writ-auth/writ/oauth"
)

// decoders are the two JSON libraries that read claims; what they do with null and Unmarshaler differs.
var decoders = map[string]func([]byte, any) error{"std": json.Unmarshal, "go-jose": gojose.Unmarshal}

func TestNumericDate(t *testing.T) {
	for value, want := range map[string]oauth.NumericDate{
		"1": 1, "1300819380": 1300819380, "1300819380.9": 1300819380, "1.3e9": 1300000000, "253402300799": 253402300799,
		// Refused, which is 0 here.
		"0": 0, "0.5": 0, "-1": 0, "-0": 0, "253402300800": 0, "1e300": 0, "1e999": 0, `"9999999999"`: 0, `""`: 0,
		"true": 0, "false": 0, "null": 0, "{}": 0, "[]": 0, "[1]": 0, "1300819380 1": 0, "0x10": 0, "NaN": 0, "Infinity": 0, "+1": 0, "01": 0,
	} {
		for name, decode := range decoders {
			var claims oauth.Claims
			err := decode([]byte(`{"exp":`+value+`}`), &claims)
			if (err == nil) != (want != 0) || err == nil && claims.Expires != want {
				t.Errorf("%s: exp %s is %d, error %v; want %d", name, value, claims.Expires, err, want)
			}
		}
	}
}

func TestAudience(t *testing.T) {
	for value, want := range map[string][]string{
		`"a"`: {"a"}, `["a"]`: {"a"}, `["a","b"]`: {"a", "b"}, ` [ "a" ] `: {"a"}, `""`: {""},
		// Refused.
		`[]`: nil, `null`: nil, `[null]`: nil, `["a",null]`: nil, `[["a"]]`: nil, `{}`: nil, `{"a":"a"}`: nil, `1`: nil,
		`true`: nil, `["a",1]`: nil, `[{"a":1}]`: nil,
	} {
		for name, decode := range decoders {
			var claims oauth.Claims
			err := decode([]byte(`{"aud":`+value+`}`), &claims)
			if (err == nil) != (want != nil) || err == nil && !slices.Equal(claims.Audience, want) {
				t.Errorf("%s: aud %s is %q, error %v; want %q", name, value, claims.Audience, err, want)
			}
		}
	}
}

// TestAudienceStartsAnew holds that an Audience that is used twice does not keep whom the first token was for.
func TestAudienceStartsAnew(t *testing.T) {
	audience := oauth.Audience{"old"}
	if err := json.Unmarshal([]byte(`["new","newer"]`), &audience); err != nil || !slices.Equal(audience, []string{"new", "newer"}) {
		t.Errorf("got %q, error %v", audience, err)
	}
}

func TestConfirmationNull(t *testing.T) {
	for name, decode := range decoders {
		var claims oauth.Claims
		if err := decode([]byte(`{"cnf":null}`), &claims); err == nil && claims.Confirmation == nil {
			t.Errorf("%s: \"cnf\":null reads as no cnf at all", name)
		}
	}
}

func TestAudienceOnTheWire(t *testing.T) {
	for want, audience := range map[string]oauth.Audience{`"a"`: {"a"}, `["a","b"]`: {"a", "b"}} {
		if got, err := json.Marshal(audience); err != nil || string(got) != want {
			t.Errorf("%q is %s, error %v, want %s", audience, got, err, want)
		}
	}
}

func TestSafeText(t *testing.T) {
	for text, want := range map[string]string{
		"plain text": "plain text", "a\"b\\c": "a?b?c", "a\r\nX-Admin: 1": "a??X-Admin: 1", "é\x00\x7f": "???",
		strings.Repeat("a", 300): strings.Repeat("a", 256), strings.Repeat("é", 200): strings.Repeat("?", 128),
	} {
		if got := oauth.SafeText(text); got != want {
			t.Errorf("SafeText(%q) = %q, want %q", text, got, want)
		}
	}
}
