package endpoint_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/oauth"
)

// A conversation is a case while it is played.
type conversation struct {
	server *server
	tokens map[string]string // by what the script calls them: one name is one token throughout a case
}

var template = regexp.MustCompile(`\{[a-z0-9]+( [^{}]*)?\}`)

// fill puts values in place of the templates in a line:
//
//	{basic ID [SECRET]}   the Authorization of a client, or of its ID with another secret
//	{base64 TEXT}         of TEXT as it stands
//	{secret ID}           a client's secret, encoded for a form
//	{repeat TEXT N}       TEXT N times
//	{token CLIENT RESOURCE SCOPE} a token that was issued so
//	{crlf}, {nul}, {ff}   bytes that a script cannot hold
//
// Behind a token, "| cut", "| append x", "| flip" (the case of the last letter), "| pad" (spaces around it),
// "| resign" (a wrong signature), "| rekey" (an unknown key ID), "| retype T" and "| expired" (issued ten minutes ago).
func (c *conversation) fill(t *testing.T, line string) string {
	t.Helper()
	filled := template.ReplaceAllStringFunc(line, func(match string) string {
		words := strings.Fields(strings.Trim(match, "{}"))
		switch words[0] {
		case "basic":
			return basic(words[1], strings.Join(append(words[2:], secretOf(words[1]))[:1], ""))
		case "base64":
			return base64.StdEncoding.EncodeToString([]byte(strings.Join(words[1:], " ")))
		case "secret":
			return url.QueryEscape(secretOf(words[1]))
		case "repeat":
			n, err := strconv.Atoi(words[2])
			must(t, err)
			return strings.Repeat(words[1], n)
		case "token":
			return c.token(t, words[1:])
		case "crlf":
			return "\r\n"
		case "nul":
			return "\x00"
		case "ff":
			return "\xff"
		}
		t.Fatalf("no template is called %q", match)
		return ""
	})
	if filled != line {
		return c.fill(t, filled) // one may stand in another
	}
	return line
}

// basic returns the Authorization header of RFC 6749, 2.3.1.
func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

func (c *conversation) token(t *testing.T, words []string) string {
	t.Helper()
	name := strings.Join(words, " ")
	if known, found := c.tokens[name]; found {
		return known
	}
	pipe := slices.Index(words, "|")
	if pipe < 0 {
		c.tokens[name] = c.server.token(t, words[0], words[1], words[2])
		return c.tokens[name]
	}
	if words[pipe+1] == "expired" {
		c.server.clock.move(-10 * time.Minute)
		c.tokens[name] = c.server.token(t, words[0], words[1], words[2])
		c.server.clock.move(10 * time.Minute)
		return c.tokens[name]
	}
	c.tokens[name] = spoil(t, c.token(t, words[:pipe]), words[pipe+1:])
	return c.tokens[name]
}

func spoil(t *testing.T, token string, how []string) string {
	t.Helper()
	last := token[len(token)-1:]
	switch how[0] {
	case "cut":
		return token[:len(token)-1]
	case "append":
		return token + how[1]
	case "flip":
		other := strings.ToUpper(last)
		if other == last {
			other = strings.ToLower(last)
		}
		if other == last {
			other = "A" // a digit has no case
		}
		return token[:len(token)-1] + other
	case "pad":
		return "+" + token + "+"
	case "resign":
		parts := strings.Split(token, ".")
		signature := []byte(parts[2])
		slices.Reverse(signature[:40])
		return parts[0] + "." + parts[1] + "." + string(signature)
	case "rekey", "retype":
		var header map[string]string
		first, rest, _ := strings.Cut(token, ".")
		data, err := base64.RawURLEncoding.DecodeString(first)
		must(t, err)
		must(t, json.Unmarshal(data, &header))
		if how[0] == "rekey" {
			header["kid"] = "nosuchkey"
		} else {
			header["typ"] = how[1]
		}
		data, err = json.Marshal(header)
		must(t, err)
		return base64.RawURLEncoding.EncodeToString(data) + "." + rest
	}
	t.Fatalf("a token cannot be spoiled by %q", how)
	return ""
}

// claims returns the payload of the access token in a token response.
func claims(t *testing.T, body string) string {
	t.Helper()
	var response oauth.TokenResponse
	must(t, json.Unmarshal([]byte(body), &response))
	parts := strings.Split(response.AccessToken, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a JWT", response.AccessToken)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	return string(payload)
}
