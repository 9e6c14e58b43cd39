package authority

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// maxFact bounds one thing that was presented, in bytes.
const maxFact = 200

// withheld stands for a value that may be a secret.
const withheld = "(not kept: it looks like a secret)"

// facts returns what a request had, "name: value" each, as far as it may be kept: never a secret, an assertion, a proof or a
// token, in whole or in part, wherever in the request it stands. Nothing of it was verified, and nothing of it refers to
// memory of the request.
func (r *Request) facts() []string {
	var facts []string
	fact := func(name, value string) {
		if value != "" {
			facts = append(facts, name+": "+r.clean(value))
		}
	}
	fact("grant_type", r.Form.Get("grant_type"))
	fact("scope", r.Form.Get("scope"))
	fact("resource", strings.Join(r.Form.All("resource"), " "))
	presented, err := r.presented()
	if err != nil {
		fact("method", "none that could be told from the request")
	} else {
		fact("method", methodOf(presented))
	}
	fact("credential", r.credential)
	look(r.Form.Get("client_assertion")).assertion(fact)
	if len(r.DPoP) == 1 {
		look(r.DPoP[0]).proof(fact)
	}
	if len(r.Certificates) > 0 {
		certificateFacts(r.Certificates[0], fact)
	}
	return facts
}

func methodOf(presented credentials) string {
	if len(presented.serves) == 0 {
		return "none"
	}
	return strings.Join(presented.serves, " or ")
}

// clean returns what may be kept of a value: a copy of bounded length, or a word in its place. A secret stands in the wrong
// field sooner or later.
func (r *Request) clean(value string) string {
	if slices.ContainsFunc(secretPrefixes, func(prefix string) bool { return strings.Contains(value, prefix) }) ||
		strings.Contains(value, "eyJ") { // so begins every JWT
		return withheld
	}
	for _, secret := range r.secrets() {
		if secret != "" && strings.Contains(value, secret) {
			return withheld
		}
	}
	if len(value) > maxFact {
		value = value[:maxFact] + "..."
	}
	return strings.Clone(value)
}

// secrets returns what in this request is one, in clear and as it was sent.
func (r *Request) secrets() []string {
	all := []string{r.Form.Get("client_secret"), r.Form.Get("client_assertion"), r.Form.Get("token")}
	for _, header := range r.Authorization {
		if isBasic(header) {
			all = append(all, basic(header).secret)
		}
		_, encoded, _ := strings.Cut(header, " ")
		all = append(all, encoded)
	}
	return all
}

// A peek is a look into a JWT that nothing has verified, and that need not even be one.
type peek struct {
	header struct {
		Type      string `json:"typ"`
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
	}
	claims struct {
		Issuer   string          `json:"iss"`
		Subject  string          `json:"sub"`
		Audience json.RawMessage `json:"aud"`
		Method   string          `json:"htm"`
		URL      string          `json:"htu"`
		IssuedAt float64         `json:"iat"`
		Expires  float64         `json:"exp"`
	}
}

func look(compact string) *peek {
	seen := &peek{}
	if len(compact) > jose.MaxTokenBytes {
		return seen
	}
	parts := strings.SplitN(compact, ".", 3)
	for i, into := range []any{&seen.header, &seen.claims} {
		if i >= len(parts) {
			break
		}
		if data, err := base64.RawURLEncoding.DecodeString(parts[i]); err == nil {
			_ = jose.DecodeObject(data, into) // what cannot be read is not told
		}
	}
	return seen
}

func (p *peek) assertion(fact func(name, value string)) {
	fact("assertion type", p.header.Type)
	fact("assertion algorithm", p.header.Algorithm)
	fact("assertion key", p.header.KeyID)
	fact("assertion issuer", p.claims.Issuer)
	fact("assertion subject", p.claims.Subject)
	fact("assertion audience", audienceText(p.claims.Audience))
	fact("assertion made", moment(p.claims.IssuedAt))
	fact("assertion expires", moment(p.claims.Expires))
}

func (p *peek) proof(fact func(name, value string)) {
	fact("proof type", p.header.Type)
	fact("proof algorithm", p.header.Algorithm)
	fact("proof method", p.claims.Method)
	fact("proof URL", p.claims.URL)
	fact("proof made", moment(p.claims.IssuedAt))
}

func audienceText(raw json.RawMessage) string {
	var audience oauth.Audience
	if json.Unmarshal(raw, &audience) != nil {
		return ""
	}
	text := strings.Join(audience, " ")
	if bytes.HasPrefix(raw, []byte{'['}) { // not every profile takes a list
		return "[" + text + "]"
	}
	return text
}

// moment returns the time that a number in a JWT means, or "" for none.
func moment(seconds float64) string {
	if seconds <= 0 || seconds > 1<<36 {
		return ""
	}
	return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
}

func certificateFacts(certificate *x509.Certificate, fact func(name, value string)) {
	fact("certificate subject", certificate.Subject.String())
	fact("certificate issuer", certificate.Issuer.String())
	fact("certificate names", strings.Join(certificate.DNSNames[:min(len(certificate.DNSNames), 4)], " "))
	fact("certificate expires", certificate.NotAfter.UTC().Format(time.RFC3339))
}
