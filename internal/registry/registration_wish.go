package registry

import (
	"context"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// A wish is what a visitor says about its client. What it does not know by name is ignored (RFC 7591, 2): nothing that
// operators alone decide has a name here, so that no visitor can set it (mass assignment).
type wish struct {
	metadata  oauth.ClientMetadata // how it authenticates, and its grants and lifetime
	scope     string
	described string // see store.Registration
	software  string // see store.Registration; "" without a statement
	statement string

	dpopBound, certificateBound *bool
	clientID, clientSecret      string

	has   map[string]bool           // the members that are there
	words map[string]jsontext.Value // what described is made of
}

// name returns what the client calls itself.
func (w *wish) name() string {
	var name string
	_ = json.Unmarshal(w.words["client_name"], &name) // checked before; else it has none
	return name
}

// bound returns what the client's tokens are bound to, of which it can take nothing back.
func (w *wish) bound(certificate, dpop bool) (bool, bool) {
	return certificate || w.certificateBound != nil && *w.certificateBound, dpop || w.dpopBound != nil && *w.dpopBound
}

// readWish reads the JSON that a visitor sent, and what the statement in it says instead.
func (r *Registry) readWish(ctx context.Context, visit Visit) (wish, error) {
	w := wish{has: map[string]bool{}}
	if visit.Malformed != nil {
		return w, visit.Malformed
	}
	members := map[string]jsontext.Value{}
	if err := jose.DecodeObject(visit.Body, &members); err != nil {
		return w, refused(oauth.InvalidClientMetadata, "the body is not one JSON object by our rules: "+err.Error())
	}
	// null is what is left out (RFC 7592, 2.2).
	maps.DeleteFunc(members, func(_ string, value jsontext.Value) bool { return string(value) == "null" })
	if raw, sent := members["software_statement"]; sent {
		if json.Unmarshal(raw, &w.statement) != nil || w.statement == "" {
			return w, refused(oauth.InvalidSoftwareStatement, "software_statement is not a text")
		}
		claims, software, err := r.vouched(ctx, w.statement)
		if err != nil {
			return w, err
		}
		maps.Copy(members, claims)
		w.software = software
	}
	if raw, sent := members["redirect_uris"]; sent && string(raw) != "[]" {
		return w, refused(oauth.InvalidRedirectURI, "there are no redirections here: leave redirect_uris out")
	}
	var p problems
	w.read(members, &p)
	w.describe(members, &p)
	return w, asRefused(invalid(p...))
}

// read takes the members that decide something.
func (w *wish) read(members map[string]jsontext.Value, p *problems) {
	m := &w.metadata
	var responseTypes []string
	into := map[string]any{
		"token_endpoint_auth_method": &m.TokenEndpointAuthMethod, "grant_types": &m.GrantTypes, "response_types": &responseTypes,
		"scope": &w.scope, "grants": &m.Grants, "token_ttl_seconds": &m.TokenTTLSeconds,
		"jwks": &m.JWKS, "jwks_uri": &m.JWKSURI, "token_endpoint_auth_signing_alg": &m.TokenEndpointAuthSigningAlg,
		"tls_client_auth_subject_dn": &m.TLSClientAuthSubjectDN, "tls_client_auth_san_dns": &m.TLSClientAuthSANDNS,
		"tls_client_auth_san_uri": &m.TLSClientAuthSANURI, "tls_client_auth_san_ip": &m.TLSClientAuthSANIP,
		"tls_client_auth_san_email":                  &m.TLSClientAuthSANEmail,
		"tls_client_certificate_bound_access_tokens": &w.certificateBound, "dpop_bound_access_tokens": &w.dpopBound,
		"client_id": &w.clientID, "client_secret": &w.clientSecret,
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		w.has[name] = true
		if target, known := into[name]; known && json.Unmarshal(members[name], target) != nil {
			p.add(name, "is of another type than it should be")
		}
	}
	if len(responseTypes) > 0 {
		p.add("response_types", "must be left out, or empty: there is no authorization endpoint")
	}
}

// Bounds on what a client says of itself, beside that of each text.
const (
	maxContacts  = 10
	maxLanguages = 16
)

// languageTag is what may stand behind # in the name of a member (RFC 7591, 2.2).
var languageTag = regexp.MustCompile(`^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,4}$`)

// describe takes the members that are for people to read. They are checked for what could harm who looks at them: no control
// and no bidirectional character, and no URL but https, which is shown and never fetched (CVE-2021-26715).
func (w *wish) describe(members map[string]jsontext.Value, p *problems) {
	words := map[string]jsontext.Value{}
	languages := 0
	for _, name := range slices.Sorted(maps.Keys(members)) {
		base, language, translated := strings.Cut(name, "#")
		check, known := describing[base]
		if !known {
			continue
		}
		if translated {
			if languages++; !translatable[base] || !languageTag.MatchString(language) || languages > maxLanguages {
				p.add(oauth.SafeText(name), "is not a translation of a text, or there are more than %d", maxLanguages)
				continue
			}
		}
		if value := check(p, oauth.SafeText(name), members[name]); value != nil {
			words[name], _ = json.Marshal(value) // texts
		}
	}
	if w.statement != "" {
		words["software_statement"], _ = json.Marshal(w.statement)
	}
	w.words = words
	if len(words) > 0 {
		data, _ := json.Marshal(words, json.Deterministic(true)) // of JSON
		w.described = string(data)
	}
}

var translatable = map[string]bool{"client_name": true, "client_uri": true, "logo_uri": true, "tos_uri": true, "policy_uri": true}

// describing are the members that nothing decides by. Each function returns the value to keep, nil if there is none.
var describing = map[string]func(p *problems, field string, raw jsontext.Value) any{
	"client_name": oneText, "software_id": oneText, "software_version": oneText,
	"client_uri": webPage, "logo_uri": webPage, "tos_uri": webPage, "policy_uri": webPage,
	"contacts": someTexts,
}

func oneText(p *problems, field string, raw jsontext.Value) any {
	var text string
	if json.Unmarshal(raw, &text) != nil || !store.Valid(text) {
		p.add(field, "is not a text")
		return nil
	}
	p.text(field, text)
	if text == "" {
		return nil
	}
	return text
}

func webPage(p *problems, field string, raw jsontext.Value) any {
	text, _ := oneText(p, field, raw).(string)
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || !oauth.ValidScopeToken(text) {
		p.add(field, "must be an https URL")
	}
	return text
}

func someTexts(p *problems, field string, raw jsontext.Value) any {
	var texts []string
	if json.Unmarshal(raw, &texts) != nil || len(texts) > maxContacts {
		p.add(field, "is not a list of at most %d texts", maxContacts)
		return nil
	}
	for i, text := range texts {
		if !store.Valid(text) {
			p.add(at(field, i), "is not a text")
			continue
		}
		p.text(at(field, i), text)
	}
	if len(texts) == 0 {
		return nil
	}
	return texts
}
