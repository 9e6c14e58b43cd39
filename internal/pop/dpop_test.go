package pop_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
)

// judge parses and checks a proof, as a server does.
func judge(compact string, r pop.Request) error {
	proof, err := pop.ParseProof(compact)
	if err != nil {
		return err
	}
	return proof.Check(r)
}

// TestProof is the list of SECURITY, 3.4, as far as a proof alone can be judged, and more of its kind.
func TestProof(t *testing.T) {
	t.Parallel()
	const token = "an access token"
	const ath = "FPlcM-1UXiivOYozpUrp7d117JnKzPF4YXuXNnfZmdU"
	header := func(name string, value any) func(*draft) { return func(d *draft) { d.header[name] = value } }
	claim := func(name string, value any) func(*draft) { return func(d *draft) { d.claims[name] = value } }
	noHeader := func(name string) func(*draft) { return func(d *draft) { delete(d.header, name) } }
	noClaim := func(name string) func(*draft) { return func(d *draft) { delete(d.claims, name) } }
	jwk := func(name string, value any) func(*draft) {
		return func(d *draft) { d.header["jwk"].(map[string]any)[name] = value }
	}
	at := func(offset time.Duration) func(*draft) {
		return claim("iat", float64(now.UnixNano())/1e9+offset.Seconds())
	}
	for name, test := range map[string]struct {
		change func(*draft)
		want   error // nil: good
	}{
		"final correct proof": {func(*draft) {}, nil},

		"no typ":                {noHeader("typ"), pop.ErrType},
		"wrong typ":             {header("typ", "JWT"), pop.ErrType},
		"typ of a token":        {header("typ", "at+jwt"), pop.ErrType},
		"typ is no string":      {header("typ", 1), pop.ErrMalformed},
		"typ with application/": {header("typ", "application/dpop+jwt"), nil},
		"typ in capitals":       {header("typ", "DPoP+JWT"), nil},
		"no alg":                {noHeader("alg"), pop.ErrMalformed},
		"alg none":              {header("alg", "none"), pop.ErrMalformed},
		"alg HS256":             {header("alg", "HS256"), pop.ErrMalformed},
		"alg of another key":    {header("alg", "ES384"), pop.ErrSignature},
		"no jwk":                {noHeader("jwk"), pop.ErrMalformed},
		"jwk of another key":    {func(d *draft) { d.header["jwk"] = jwkOf(t, newDraft(t).key) }, pop.ErrSignature},
		"jwk private":           {jwk("d", "AAAA"), pop.ErrMalformed},
		"jwk symmetric":         {func(d *draft) { d.header["jwk"] = map[string]any{"kty": "oct", "k": "AAAA"} }, pop.ErrMalformed},
		"jwk of another curve":  {jwk("crv", "secp256k1"), pop.ErrMalformed},
		"extra header":          {header("x-unknown", map[string]any{"a": 1}), nil},
		"crit":                  {header("crit", []string{"x"}), pop.ErrMalformed},

		"no jti":                {noClaim("jti"), pop.ErrMalformed},
		"empty jti":             {claim("jti", ""), pop.ErrMalformed},
		"jti of 256 bytes":      {claim("jti", strings.Repeat("j", 256)), nil},
		"jti of 257 bytes":      {claim("jti", strings.Repeat("j", 257)), pop.ErrMalformed},
		"jti is a number":       {claim("jti", 1), pop.ErrMalformed},
		"no htm":                {noClaim("htm"), pop.ErrMalformed},
		"no htu":                {noClaim("htu"), pop.ErrMalformed},
		"no iat":                {noClaim("iat"), pop.ErrMalformed},
		"iat null":              {claim("iat", nil), pop.ErrMalformed},
		"iat a string":          {claim("iat", "1795435200"), pop.ErrMalformed},
		"iat true":              {claim("iat", true), pop.ErrMalformed},
		"iat negative":          {claim("iat", -1), pop.ErrMalformed},
		"iat beyond all clocks": {claim("iat", 9.3e18), pop.ErrMalformed},
		"iat in milliseconds":   {claim("iat", now.UnixMilli()), pop.ErrMalformed},
		"wrong htm":             {claim("htm", "GET"), pop.ErrMethod},
		"htm in lower case":     {claim("htm", "post"), pop.ErrMethod},
		"different htu":         {claim("htu", "https://as.example/introspect"), pop.ErrURL},

		"iat +1 h":                  {at(time.Hour), pop.ErrEarly},
		"iat -1 h":                  {at(-time.Hour), pop.ErrStale},
		"iat 0":                     {claim("iat", 0), pop.ErrStale},
		"iat +10 s":                 {at(10 * time.Second), nil},
		"iat +10.5 s":               {at(10500 * time.Millisecond), pop.ErrEarly},
		"iat -60 s":                 {at(-60 * time.Second), nil},
		"iat -60.5 s":               {at(-60500 * time.Millisecond), pop.ErrStale},
		"iat with a fraction":       {at(-500 * time.Millisecond), nil},
		"nbf=now, exp=+5 min":       {func(d *draft) { d.claims["nbf"], d.claims["exp"] = now.Unix(), now.Unix()+300 }, nil},
		"exp past":                  {claim("exp", now.Unix()-11), pop.ErrStale},
		"exp past within leeway":    {claim("exp", now.Unix()-10), nil},
		"nbf ahead":                 {claim("nbf", now.Unix()+11), pop.ErrEarly},
		"nbf ahead within leeway":   {claim("nbf", now.Unix()+10), nil},
		"exp a string":              {claim("exp", "tomorrow"), pop.ErrMalformed},
		"extra unknown claims":      {claim("x-unknown", []any{1, "b"}), nil},
		"an iss, sub and aud":       {func(d *draft) { d.claims["iss"], d.claims["sub"], d.claims["aud"] = "a", "b", "c" }, nil},
		"names in another case":     {func(d *draft) { d.claims["JTI"] = d.claims["jti"]; delete(d.claims, "jti") }, pop.ErrMalformed},
		"nonce a number":            {claim("nonce", 1), pop.ErrMalformed},
		"nonce, whatever it is":     {claim("nonce", "n"), nil},
		"no ath":                    {noClaim("ath"), pop.ErrTokenHash},
		"wrong ath":                 {claim("ath", "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"), pop.ErrTokenHash},
		"ath with padding":          {claim("ath", ath+"="), pop.ErrTokenHash},
		"ath is the token":          {claim("ath", token), pop.ErrTokenHash},
		"empty ath":                 {claim("ath", ""), pop.ErrTokenHash},
		"larger than any JWS of us": {claim("x", strings.Repeat("x", 20<<10)), pop.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDraft(t)
			d.claims["ath"] = ath
			test.change(d)
			err := judge(d.sign(t), pop.Request{Method: "POST", URL: tokenURL, AccessToken: token, Now: now})
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestProofIsNoToken(t *testing.T) {
	t.Parallel()
	good := newDraft(t).sign(t)
	parts := strings.Split(good, ".")
	for name, text := range map[string]string{
		"not a JWT":          "proof",
		"empty":              "",
		"two proofs in one":  good + ", " + good,
		"two parts":          parts[0] + "." + parts[1],
		"no signature":       parts[0] + "." + parts[1] + ".",
		"a space in front":   " " + good,
		"a line break":       good[:20] + "\n" + good[20:],
		"JSON serialisation": `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`,
	} {
		if proof, err := pop.ParseProof(text); !errors.Is(err, pop.ErrMalformed) {
			t.Errorf("%s: got %+v, %v, want %v", name, proof, err, pop.ErrMalformed)
		}
	}
	// Another signature of the same key over something else, and one with a bit flipped.
	other := newDraft(t)
	for name, text := range map[string]string{
		"a payload of nothing":           parts[0] + ".." + parts[2],
		"bad signature":                  parts[0] + "." + parts[1] + "." + strings.Split(other.sign(t), ".")[2],
		"a signature of another proof's": strings.Split(other.sign(t), ".")[0] + "." + parts[1] + "." + parts[2],
	} {
		if _, err := pop.ParseProof(text); !errors.Is(err, pop.ErrSignature) {
			t.Errorf("%s: got %v, want %v", name, err, pop.ErrSignature)
		}
	}
}

// TestFaultsRepeatNothing: what a proof says never comes back in an error, which goes into answers and logs.
func TestFaultsRepeatNothing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"typ", "alg", "jti", "htm", "htu", "ath"} {
		d := newDraft(t)
		members := d.claims
		if name == "typ" || name == "alg" {
			members = d.header
		}
		members[name] = "canary\r\nDPoP-Nonce: x\"\\"
		err := judge(d.sign(t), pop.Request{Method: "POST", URL: tokenURL, AccessToken: "canary", Now: now})
		if _, typed := errors.AsType[*pop.Fault](err); !typed || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want a Fault without the caller's text", name, err)
		}
	}
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		allowed []string
		want    error
	}{
		{nil, nil},
		{[]string{jose.PS256, jose.ES256}, nil},
		{[]string{jose.PS256}, pop.ErrAlgorithm},
		{[]string{}, pop.ErrAlgorithm},
	} {
		request := pop.Request{Method: "POST", URL: tokenURL, Now: now, Algorithms: test.allowed}
		if err := judge(newDraft(t).sign(t), request); !errors.Is(err, test.want) {
			t.Errorf("ES256 where %q are allowed: got %v, want %v", test.allowed, err, test.want)
		}
	}
}

// TestAccessTokenHashIsIgnoredWithoutToken: at the token endpoint there is none yet (RFC 9449, 5).
func TestAccessTokenHashIsIgnoredWithoutToken(t *testing.T) {
	t.Parallel()
	d := newDraft(t)
	d.claims["ath"] = "whatever"
	must(t, judge(d.sign(t), pop.Request{Method: "POST", URL: tokenURL, Now: now}))
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, htu, url string
		same           bool
	}{
		{"the same", "https://as.example/token", "https://as.example/token", true},
		{"htu with query and fragment", "https://as.example/token?a=b#c", "https://as.example/token", true},
		{"htu without the query", "https://as.example/token", "https://as.example/token?a=b", true},
		{"htu of a host that lower case would turn into ours", "https://api.ban\u212a.example/x", "https://api.bank.example/x", false},
		{"another query", "https://as.example/token?a=b", "https://as.example/token?c=d", true},
		{"a fragment", "https://as.example/token#f", "https://as.example/token", true},
		{"upper-case scheme and host", "HTTPS://AS.EXAMPLE/token", "https://as.example/token", true},
		{"our own host in capitals", "https://as.example/token", "https://AS.example/token", true},
		{"default port", "https://as.example:443/token", "https://as.example/token", true},
		{"default port on our side", "https://as.example/token", "https://as.example:443/token", true},
		{"empty port", "https://as.example:/token", "https://as.example/token", true},
		{"default port of http", "http://as.example:80/token", "http://as.example/token", true},
		{"percent-encoding in lower case", "https://as.example/a%2fb", "https://as.example/a%2Fb", true},
		{"encoded unreserved", "https://as.example/%74oken", "https://as.example/token", true},
		{"encoded tilde", "https://as.example/%7euser", "https://as.example/~user", true},
		{"empty path", "https://as.example", "https://as.example/", true},
		{"empty path and a query", "https://as.example?a", "https://as.example/", true},
		{"dot segments", "https://as.example/a/./b/../token", "https://as.example/a/token", true},
		{"encoded dot segments", "https://as.example/a/%2e%2E/token", "https://as.example/token", true},
		{"IPv6", "https://[2001:DB8::1]:443/token", "https://[2001:db8::1]/token", true},

		{"another path", "https://as.example/tokens", "https://as.example/token", false},
		{"the path in another case", "https://as.example/Token", "https://as.example/token", false},
		{"a slash more", "https://as.example/token/", "https://as.example/token", false},
		{"two slashes", "https://as.example//token", "https://as.example/token", false},
		{"an encoded slash", "https://as.example/a%2Fb", "https://as.example/a/b", false},
		{"an encoded percent", "https://as.example/%2574oken", "https://as.example/token", false},
		{"another host", "https://as.example.evil/token", "https://as.example/token", false},
		{"a subdomain", "https://x.as.example/token", "https://as.example/token", false},
		{"a dot behind the host", "https://as.example./token", "https://as.example/token", false},
		{"another port", "https://as.example:8443/token", "https://as.example/token", false},
		{"the port of another scheme", "https://as.example:80/token", "https://as.example/token", false},
		{"another scheme", "http://as.example/token", "https://as.example/token", false},
		{"another scheme and its port", "http://as.example:443/token", "https://as.example/token", false},
		{"a user", "https://as.example@evil.example/token", "https://evil.example/token", false},
		{"a user in front", "https://u:p@as.example/token", "https://as.example/token", false},
		{"no scheme", "//as.example/token", "https://as.example/token", false},
		{"a path alone", "/token", "https://as.example/token", false},
		{"opaque", "https:as.example/token", "https://as.example/token", false},
		{"another kind of URL", "urn:as.example:token", "https://as.example/token", false},
		{"not a URL", "https://as.example/%zz", "https://as.example/token", false},
		{"a space in the host", "https://as .example/token", "https://as.example/token", false},
		{"a line break", "https://as.example/token\n", "https://as.example/token", false},
		{"a backslash", `https://as.example\token`, "https://as.example/token", false},
		{"our own URL is none", "https://as.example/token", "", false},
		{"neither is a URL", "token", "token", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDraft(t)
			d.claims["htu"] = test.htu
			err := judge(d.sign(t), pop.Request{Method: "POST", URL: test.url, Now: now})
			if test.same && err != nil || !test.same && !errors.Is(err, pop.ErrURL) {
				t.Errorf("htu %q for %q: got %v, want the same: %v", test.htu, test.url, err, test.same)
			}
		})
	}
}

// TestUntil: when a proof is forgotten, no node takes it any more, even one whose clock is a leeway behind.
func TestUntil(t *testing.T) {
	t.Parallel()
	d := newDraft(t)
	d.claims["iat"] = float64(now.Unix()) + 9.75
	proof, err := pop.ParseProof(d.sign(t))
	must(t, err)
	request := pop.Request{Method: "POST", URL: tokenURL, Now: now}
	must(t, proof.Check(request))
	request.Now = proof.Until().Add(-pop.Leeway)
	must(t, proof.Check(request)) // the last moment
	request.Now = request.Now.Add(1)
	if err := proof.Check(request); !errors.Is(err, pop.ErrStale) {
		t.Errorf("got %v, want %v", err, pop.ErrStale)
	}
}

func TestReplayID(t *testing.T) {
	t.Parallel()
	a, b := newDraft(t), newDraft(t)
	id := func(d *draft, jti string) string {
		d.claims["jti"] = jti
		proof, err := pop.ParseProof(d.sign(t))
		must(t, err)
		return proof.ReplayID()
	}
	long := strings.Repeat("j", 256)
	first := id(a, "1")
	if again := id(a, "1"); again != first { // whose signature differs: ECDSA draws a nonce
		t.Error("two copies have two IDs")
	}
	if first == id(a, "2") || first == id(b, "1") || id(a, long) == id(a, long[1:]) {
		t.Error("two proofs have one ID")
	}
	if got := id(a, long); len(got) != 43 {
		t.Errorf("the ID has %d bytes, want 43", len(got))
	}
}

func TestNewProofIsGood(t *testing.T) {
	t.Parallel()
	for _, algorithm := range jose.Algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			signer := newSigner(t, algorithm)
			request := pop.Request{Method: "POST", URL: tokenURL + "?a=b#c", AccessToken: "token", Now: now.Add(500 * time.Millisecond)}
			compact, err := pop.NewProof(signer, request, "a nonce")
			must(t, err)
			proof, err := pop.ParseProof(compact)
			must(t, err)
			must(t, proof.Check(request))
			thumbprint, err := jose.Thumbprint(signer.Key().Public)
			must(t, err)
			if proof.Thumbprint != thumbprint || proof.Nonce != "a nonce" || !proof.IssuedAt.Equal(now) || proof.URL != tokenURL {
				t.Errorf("proof is %+v, want thumbprint %s, the nonce, %v and %s", proof, thumbprint, now, tokenURL)
			}
		})
	}
}

// TestNewProofSaysNoMore: without token and nonce there are the four claims alone, iat a whole number, and no ID twice.
func TestNewProofSaysNoMore(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, jose.ES256)
	seen := map[string]bool{}
	for range 100 {
		compact, err := pop.NewProof(signer, pop.Request{Method: "GET", URL: tokenURL, Now: now}, "")
		must(t, err)
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[1])
		must(t, err)
		var claims map[string]any
		must(t, json.Unmarshal(payload, &claims))
		id, _ := claims["jti"].(string)
		random, err := base64.RawURLEncoding.DecodeString(id)
		if err != nil || len(random) < 16 || seen[id] {
			t.Fatalf("jti %q: error %v, %d bytes, seen before: %v", id, err, len(random), seen[id])
		}
		seen[id] = true
		if len(claims) != 4 || !strings.Contains(string(payload), `"iat":1795435200`) {
			t.Fatalf("payload %s, want jti, htm, htu and iat, an integer", payload)
		}
	}
}
