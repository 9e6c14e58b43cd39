package jose_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/jose"
)

const goodHeader = `{"alg":"ES256","kid":"k1","typ":"at+jwt"}`

func TestParse(t *testing.T) {
	token, err := jose.Parse(b64(goodHeader) + "." + b64(`{"a":1}`) + "." + b64("signature"))
	if err != nil {
		t.Fatal(err)
	}
	if token.Type != "at+jwt" || token.Algorithm != "ES256" || token.KeyID != "k1" || string(token.Payload) != `{"a":1}` {
		t.Errorf("got %+v", token)
	}
}

func TestParseRefuses(t *testing.T) {
	header, payload, signature := b64(goodHeader), b64(`{"a":1}`), b64("signature")
	withHeader := func(h string) string { return b64(h) + "." + payload + "." + signature }
	for name, token := range map[string]string{
		"nothing":                      "",
		"one part":                     header,
		"two parts":                    header + "." + payload,
		"four parts":                   header + "." + payload + "." + signature + ".",
		"five parts of a JWE":          strings.Repeat(header+".", 4) + signature,
		"JSON serialisation":           `{"protected":"` + header + `","payload":"` + payload + `","signature":"` + signature + `"}`,
		"100 000 dots":                 strings.Repeat(".", 100_000),
		"larger than 16 KiB":           withHeader(goodHeader) + strings.Repeat("A", jose.MaxTokenBytes),
		"padding":                      header + "=." + payload + "." + signature,
		"standard alphabet":            header + "." + payload + "./+/+",
		"line break":                   header + "." + payload + ".\r\n" + signature,
		"blank":                        header + "." + payload + ". " + signature,
		"trailing bits":                header + "." + payload + ".AB", // AA is the canonical one
		"impossible length":            header + "." + payload + ".AAAAA",
		"signature empty":              header + "." + payload + ".",
		"header empty":                 "." + payload + "." + signature,
		"header null":                  withHeader(`null`),
		"header array":                 withHeader(`[]`),
		"header with BOM":              withHeader("\ufeff" + goodHeader),
		"header not UTF-8":             withHeader("{\"alg\":\"ES256\",\"kid\":\"\xff\"}"),
		"header followed by something": withHeader(goodHeader + `{}`),
		"alg none":                     withHeader(`{"alg":"none"}`),
		"alg None":                     withHeader(`{"alg":"None"}`),
		"alg HS256":                    withHeader(`{"alg":"HS256"}`),
		"alg in lower case":            withHeader(`{"alg":"es256"}`),
		"alg missing":                  withHeader(`{"typ":"at+jwt"}`),
		"alg null":                     withHeader(`{"alg":null}`),
		"alg an array":                 withHeader(`{"alg":["ES256"]}`),
		"alg by another name":          withHeader(`{"ALG":"ES256"}`),
		"alg twice":                    withHeader(`{"alg":"none","alg":"ES256"}`),
		"alg twice, once escaped":      withHeader(`{"alg":"ES256","\u0061lg":"none"}`),
		"unknown member twice":         withHeader(`{"alg":"ES256","x":1,"x":2}`),
		"nested member twice":          withHeader(`{"alg":"ES256","jwk":{"kty":"EC","kty":"oct"}}`),
		"crit":                         withHeader(`{"alg":"ES256","crit":["exp"],"exp":1}`),
		"crit empty":                   withHeader(`{"alg":"ES256","crit":[]}`),
		"crit null":                    withHeader(`{"alg":"ES256","crit":null}`),
		"b64 false":                    withHeader(`{"alg":"ES256","b64":false}`),
		"b64 true":                     withHeader(`{"alg":"ES256","b64":true}`),
		"kid a number":                 withHeader(`{"alg":"ES256","kid":1}`),
		"kid null":                     withHeader(`{"alg":"ES256","kid":null}`),
		"typ null":                     withHeader(`{"alg":"ES256","typ":null}`),
		"header deeper than 32":        withHeader(`{"alg":"ES256","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`),
		"header deeper, never closed":  withHeader(`{"alg":"ES256","x":` + strings.Repeat("[", 10_000)),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := jose.Parse(token); !errors.Is(err, jose.ErrMalformed) {
				t.Errorf("error %v, want ErrMalformed", err)
			}
		})
	}
}

func TestDecodeObject(t *testing.T) {
	type into struct {
		Name string `json:"name"`
	}
	for name, test := range map[string]struct {
		data string
		ok   bool
	}{
		"object":                           {`{"name":"a"}`, true},
		"unknown member":                   {`{"name":"a","x":[{"y":{}}]}`, true},
		"same name in two objects":         {`{"x":{"a":1},"y":{"a":1}}`, true},
		"braces in strings":                {`{"name":"` + strings.Repeat(`{[\"`, 100) + `"}`, true},
		"32 deep":                          {`{"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, true},
		"33 deep":                          {`{"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, false},
		"deep behind a string":             {`{"x":"\\","y":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, false},
		"blank around":                     {" \r\n\t{} \r\n\t", true},
		"another blank":                    {"\u00a0{}", false},
		"null":                             {`null`, false},
		"array":                            {`[]`, false},
		"string":                           {`"name"`, false},
		"number":                           {`1`, false},
		"nothing":                          {``, false},
		"BOM":                              {"\ufeff{}", false},
		"not UTF-8":                        {"{\"name\":\"\xc3\"}", false},
		"cut off":                          {`{"name":"a"`, false},
		"something behind":                 {`{"name":"a"} {}`, false},
		"member twice":                     {`{"name":"a","name":"b"}`, false},
		"member twice, once escaped":       {`{"name":"a","n\u0061me":"b"}`, false},
		"unknown member twice":             {`{"x":1,"x":1}`, false},
		"member of an unknown value twice": {`{"x":{"a":1,"a":2}}`, false},
		"member twice far inside":          {`{"x":[1,[{"y":[{"a":1,"a":2}]}]]}`, false},
		"wrong type":                       {`{"name":1}`, false},
		"comment":                          {`{"name":"a"/**/}`, false},
		"trailing comma":                   {`{"name":"a",}`, false},
		"control character":                {"{\"name\":\"a\nb\"}", false},
	} {
		t.Run(name, func(t *testing.T) {
			var got into
			if err := jose.DecodeObject([]byte(test.data), &got); (err == nil) != test.ok {
				t.Errorf("error %v, want none: %v", err, test.ok)
			}
		})
	}
	t.Run("names are case-sensitive", func(t *testing.T) {
		var got into
		if err := jose.DecodeObject([]byte(`{"NAME":"b","name":"a","Name":"c"}`), &got); err != nil || got.Name != "a" {
			t.Errorf("got %+v, error %v", got, err)
		}
	})
}

func TestTypeIsAMediaType(t *testing.T) {
	for header, want := range map[string]string{
		"at+jwt": "at+jwt", "AT+JWT": "at+jwt", "application/at+jwt": "at+jwt", "Application/AT+jwt": "at+jwt",
		"JWT": "jwt", "application/application/at+jwt": "application/at+jwt", "": "",
	} {
		token, err := jose.Parse(b64(`{"alg":"ES256","typ":"`+header+`"}`) + "." + b64("{}") + "." + b64("s"))
		if err != nil || token.Type != want {
			t.Errorf("%q: type %v, error %v, want %q", header, token, err, want)
		}
	}
}
