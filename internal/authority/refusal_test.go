package authority

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/audit"
)

func TestParseRefusalID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"7k3m9x2qpt": "7k3m9x2qpt", "7K3M9X2QPT": "7k3m9x2qpt", " (refusal 7k3m9x2qpt) ": "7k3m9x2qpt", "7k3m9-x2qpt": "7k3m9x2qpt",
		"oO0lLiI1xx": "0001111" + "1xx", "": "", "7k3m9x2qp": "", "7k3m9x2qptt": "", `7k3m9x2q"t`: "", "7k3m9x2qpu": "",
	} {
		if got, good := ParseRefusalID(text); got != want || good != (want != "") {
			t.Errorf("%q: got %q, %t, want %q", text, got, good, want)
		}
	}
	if id := newRefusalID(); len(id) != refusalLength || strings.Trim(id, refusalLetters) != "" {
		t.Errorf("%q is not an ID", id)
	}
}

// TestFacts tells what was presented and no secret of it (OP-14), wherever in the request it stands.
func TestFacts(t *testing.T) {
	t.Parallel()
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	basic := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	jwt := part(`{"typ":"JWT","alg":"none","kid":"k1"}`) + "." + part(`{"iss":"a","sub":"b","aud":["x","y"],"exp":1700000000.5}`) + ".sig"
	for _, test := range []struct {
		name    string
		request Request
		want    []string
	}{
		{"nothing", Request{}, []string{"method: none"}},
		{
			"a secret",
			Request{Authorization: []string{basic("billing:hunter22")}, Form: formOf(url.Values{"scope": {"read"}, "resource": {"https://a", "https://b"}})},
			[]string{"scope: read", "resource: https://a https://b", "method: client_secret_basic"},
		},
		{
			"its secret in another field",
			Request{Authorization: []string{basic("billing:hunter22")}, Form: formOf(url.Values{"scope": {"read hunter22"}})},
			[]string{"scope: " + withheld, "method: client_secret_basic"},
		},
		{
			"a secret of ours, and a token",
			Request{Form: formOf(url.Values{"scope": {"writ_cs_abc"}, "resource": {jwt}, "client_secret": {"hunter22"}})},
			[]string{"scope: " + withheld, "resource: " + withheld, "method: client_secret_post"},
		},
		{"an assertion that no parser takes", Request{Form: formOf(url.Values{"client_assertion": {jwt}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}})}, []string{
			"method: private_key_jwt", "assertion type: JWT", "assertion algorithm: none", "assertion key: k1", "assertion issuer: a",
			"assertion subject: b", "assertion audience: [x y]", "assertion expires: 2023-11-14T22:13:20Z",
		}},
		{
			"a proof",
			Request{DPoP: []string{part(`{"typ":"dpop+jwt","alg":"ES256","jwk":{"d":"hunter22"}}`) + "." + part(`{"htm":"GET","htu":"https://a/token","iat":1700000000}`)}},
			[]string{"method: none", "proof type: dpop+jwt", "proof algorithm: ES256", "proof method: GET", "proof URL: https://a/token", "proof made: 2023-11-14T22:13:20Z"},
		},
		{"what is too long", Request{Form: formOf(url.Values{"scope": {strings.Repeat("a", 5000)}})}, []string{"scope: " + strings.Repeat("a", maxFact) + "...", "method: none"}},
	} {
		t.Run("OP-14 "+test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, test.request.facts()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestRefusalsFlood: the refusals that a node has in memory are bounded, the latest are there, and who is refused for having
// failed too often pushes nobody else out.
func TestRefusalsFlood(t *testing.T) {
	t.Parallel()
	kept := newLastRefusals()
	keep := func(id, reason string) { kept.keep(audit.Event{Refusal: id, Reason: reason, Time: time.Now()}) }
	keep("explains", string(reasonWrongSecret))
	for i := range 5 * maxRefused {
		keep(fmt.Sprint("flood", i), tooOften[i%len(tooOften)])
	}
	if _, found := kept.find("explains"); !found {
		t.Error("the refusal that explains was pushed out")
	}
	for i := range 2 * maxRefused {
		keep(fmt.Sprint("other", i), string(reasonWrongSecret))
	}
	for id, want := range map[string]bool{
		"explains": false, fmt.Sprint("other", 2*maxRefused-maxRefused/2): true, fmt.Sprint("flood", 5*maxRefused-1): true, "flood0": false,
	} {
		if _, found := kept.find(id); found != want {
			t.Errorf("%s: found %t, want %t", id, found, want)
		}
	}
	for _, half := range []halves{kept.others, kept.floods} {
		if n := len(half.recent) + len(half.older); n > maxRefused {
			t.Errorf("%d are kept, more than %d", n, maxRefused)
		}
	}
}
