package resource_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/writ-auth/writ/oauth"
)

var parameter = regexp.MustCompile(`^([a-z_]+)="([^"\\\x00-\x1f\x7f-\xff]*)"(?:, |$)`)

// parseChallenge reads one challenge, of Bearer or DPoP, as a client would and fails on anything that RFC 6750, 3 forbids:
// bytes outside the grammar, a parameter twice, no parameter at all.
func parseChallenge(t testing.TB, challenge string) map[string]string {
	t.Helper()
	if challenge == "" {
		return nil
	}
	scheme, rest, _ := strings.Cut(challenge, " ")
	if scheme != oauth.Bearer && scheme != oauth.DPoP || rest == "" {
		t.Fatalf("challenge %q is not a Bearer or DPoP challenge with parameters", challenge)
	}
	all := map[string]string{}
	for rest != "" {
		m := parameter.FindStringSubmatch(rest)
		if m == nil {
			t.Fatalf("challenge %q does not parse at %q", challenge, rest)
		}
		if _, twice := all[m[1]]; twice {
			t.Fatalf("challenge %q has %s twice", challenge, m[1])
		}
		all[m[1]], rest = m[2], rest[len(m[0]):]
	}
	return all
}

// parseChallenges reads all challenges of an answer, by scheme, of which each stands once and in a field of its own.
func parseChallenges(t testing.TB, answer *http.Response) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	for _, challenge := range answer.Header.Values("WWW-Authenticate") {
		scheme, _, _ := strings.Cut(challenge, " ")
		if all[scheme] != nil {
			t.Fatalf("two challenges of %s", scheme)
		}
		all[scheme] = parseChallenge(t, challenge)
	}
	return all
}
