package resource_test

import (
	"regexp"
	"strings"
	"testing"
)

var parameter = regexp.MustCompile(`^([a-z_]+)="([^"\\\x00-\x1f\x7f-\xff]*)"(?:, |$)`)

// parseChallenge reads one Bearer challenge as a client would and fails on anything that RFC 6750, 3 forbids: bytes
// outside the grammar, a parameter twice, no parameter at all.
func parseChallenge(t testing.TB, challenge string) map[string]string {
	t.Helper()
	if challenge == "" {
		return nil
	}
	rest, ok := strings.CutPrefix(challenge, "Bearer ")
	if !ok || rest == "" {
		t.Fatalf("challenge %q is not a Bearer challenge with parameters", challenge)
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
