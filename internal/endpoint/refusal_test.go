package endpoint_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/authority"
)

// named is how a description ends: the ID of the refusal.
var named = regexp.MustCompile(` \(refusal ([0-9a-hjkmnp-tv-z]{10})\)"`)

// unnamed returns an answer without the ID of the refusal: the part that two answers to one mistake share.
func unnamed(body string) string { return named.ReplaceAllString(body, `"`) }

// namesRefusal checks that the answer to a refused request has the ID that the journal has, in both places.
func namesRefusal(t *testing.T, kind string, event audit.Event, got answer) {
	t.Helper()
	header := got.Header.Values("Writ-Refusal")
	text := named.FindStringSubmatch(got.body)
	if len(header) != 1 || header[0] != event.Refusal || len(text) != 2 || text[1] != event.Refusal {
		t.Errorf("%s: the journal calls it %q, the answer %q and %s", kind, event.Refusal, header, got.body)
	}
	if id, good := authority.ParseRefusalID(event.Refusal); !good || id != event.Refusal {
		t.Errorf("%s: %q is not an ID", kind, event.Refusal)
	}
}

// TestRefusalTellsNothing: A02 and CA-26 hold with IDs. Apart from them the answers to a stranger and to a client with a
// wrong secret are the same, header by header, and as long; no two have one ID.
func TestRefusalTellsNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := &conversation{server: s, tokens: map[string]string{}}
	seen := map[string]bool{}
	ask := func(id string) string {
		got := c.send(t, step{method: http.MethodPost, target: "/token", body: "grant_type=client_credentials", headers: []string{
			"Authorization: " + basic(id, "wrong"), "Content-Type: application/x-www-form-urlencoded",
		}})
		refusal := got.Header.Get("Writ-Refusal")
		if refusal == "" || seen[refusal] {
			t.Fatalf("%s: the ID %q was there before, or is none", id, refusal)
		}
		seen[refusal] = true
		got.Header.Del("Writ-Refusal")
		got.Header.Del("Date")
		var header strings.Builder
		must(t, got.Header.Write(&header))
		return got.Status + "\n" + header.String() + unnamed(got.body)
	}
	if known, stranger := ask("c-basic"), ask("stranger"); known != stranger {
		t.Errorf("a client hears\n%s\na stranger\n%s", known, stranger)
	}
}
