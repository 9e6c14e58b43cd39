package main

import (
	"errors"
	"strings"
	"testing"
)

func TestFold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text, want string
		width            int
	}{
		{"short", "a b", "a b", 20},
		{"at a space", "aaaaaaaaaa bbbbbbbbb c", "aaaaaaaaaa bbbbbbbbb\nc", 20},
		{"a word longer than the line", "see https://as.example.com/a/very/long/path now", "see\nhttps://as.example.com/a/very/long/path\nnow", 20},
		{"letters count, not bytes", "öööööööööö äääääääää", "öööööööööö äääääääää", 20},
		{"each line by itself", "a b\nc d", "a b\nc d", 20},
		{"an excerpt stays", "    4 |   a long line of a configuration\n              ^", "    4 |   a long line of a configuration\n              ^", 20},
		{"no terminal", "aaaaaaaaaa bbbbbbbbb c", "aaaaaaaaaa bbbbbbbbb c", -6},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fold(c.text, c.width); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	report(&out, advise(errors.New("first\nsecond"), "do this\nthen that"))
	report(&out, silentError{errors.New("told already")})
	if want := "writ: first\n      second\n      do this\n      then that\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestPretty(t *testing.T) {
	t.Parallel()
	secret, token := "writ_cs_0123456789abcdef", strings.Repeat("t", 10)+strings.Repeat("o", 40)+"kenend"
	for _, c := range []struct{ name, body, want string }{
		{"a line where it fits", `{"a":1,"b":["x","y"],"c":{}}`, `{ "a": 1, "b": ["x", "y"], "c": {} }`},
		{"members below one another where not", `{"a":"` + strings.Repeat("x", 80) + `","b":[1,2]}`, "{\n  \"a\": \"" + strings.Repeat("x", 80) + "\",\n  \"b\": [1, 2]\n}"},
		{"secrets, however deep", `{"client_secret":"` + secret + `","in":[{"access_token":"` + token + `"}]}`,
			"{\n  \"client_secret\": \"writ_cs_••••••\",\n  \"in\": [{ \"access_token\": \"tttttttttt…kenend (56 characters)\" }]\n}"},
		{"no JSON", "grant_type=client_credentials\n", "grant_type=client_credentials"},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := pretty([]byte(c.body)); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
	if got := pretty([]byte(`{"a":1,"b":2,"c":3}`), "a", "c"); got != `{ "a": 1, "c": 3, … }` {
		t.Errorf("of some members: %s", got)
	}
	if got := pretty([]byte(`[1,2]`), "a"); got != "" {
		t.Errorf("of a list: %s", got)
	}
}
