package pop_test

import (
	"errors"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/pop"
)

// The examples of RFC 9449: the key of both proofs, the proof of a token request (figure 2 in 4.2) and that of a request
// with a token (figure 13 in 7.1).
const (
	rfcHeader = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
	rfcToken  = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	rfcJKT    = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" // figure 8 in 6.1

	rfcTokenProof    = rfcHeader + ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	rfcResourceProof = rfcHeader + ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)

func TestExamplesOfTheRFC(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, compact, id string
		issued            int64
		request           pop.Request
	}{
		{"4.2", rfcTokenProof, "-BwC3ESc6acc2lTc", 1562262616,
			pop.Request{Method: "POST", URL: "https://server.example.com/token"}},
		{"7.1", rfcResourceProof, "e1j3V_bKic8-LAEB", 1562262618,
			pop.Request{Method: "GET", URL: "https://resource.example.org/protectedresource", AccessToken: rfcToken}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			proof, err := pop.ParseProof(test.compact)
			must(t, err)
			if proof.Thumbprint != rfcJKT || proof.ID != test.id || proof.IssuedAt.Unix() != test.issued || proof.Algorithm != "ES256" {
				t.Errorf("got %+v", proof)
			}
			r := test.request
			r.Now = time.Unix(test.issued, 0)
			must(t, proof.Check(r))
			for want, change := range map[error]func(r pop.Request) pop.Request{
				pop.ErrMethod:    func(r pop.Request) pop.Request { r.Method = "PUT"; return r },
				pop.ErrURL:       func(r pop.Request) pop.Request { r.URL += "s"; return r },
				pop.ErrTokenHash: func(r pop.Request) pop.Request { r.AccessToken += "x"; return r },
				pop.ErrStale:     func(r pop.Request) pop.Request { r.Now = now; return r },
				pop.ErrEarly:     func(r pop.Request) pop.Request { r.Now = r.Now.Add(-time.Minute); return r },
			} {
				if err := proof.Check(change(r)); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			}
		})
	}
}
