// Package importer reads what other authorization servers export, and says what of it Writ can take over and what it cannot. It
// is pure: bytes in; wanted resources, roles and clients, and a report out. Registry does the rest.
package importer

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// Options say what an export leaves open. The zero value works.
type Options struct {
	// Audiences are the URIs of resources by what the other server calls them, for names that are no URI.
	Audiences map[string]string
	// Resource is the URI for scopes that the other server ties to no audience; without it, nobody gets them.
	Resource string
}

// MaxBytes bounds an export.
const MaxBytes = 64 << 20

// A Plan is what is to be imported, and the report of what is not.
type Plan struct {
	Wanted registry.Import
	Report []Finding
}

// What became of something in an export.
const (
	Skipped = "not imported" // the whole of it
	Lost    = "not mapped"   // a part of something that is imported
	Changed = "changed"      // imported, but not as it was
)

// A Finding is something in an export that is not imported as it was.
type Finding struct {
	Kind    string `json:"kind"` // client, role, scope, realm or export
	ID      string `json:"id"`
	Outcome string `json:"outcome"`
	Text    string `json:"text"`
}

// A plan is a Plan in the making.
type plan struct {
	Plan
	options Options
	scopes  map[string]map[string]string // descriptions by resource and scope
	order   []string                     // URIs of resources as they came
}

func newPlan(options Options) *plan {
	return &plan{options: options, scopes: map[string]map[string]string{}}
}

func (p *plan) report(kind, id, outcome, format string, values ...any) {
	text := fmt.Sprintf(format, values...)
	p.Report = append(p.Report, Finding{kind, printable(id), outcome, printable(text)})
}

// printable makes a text from an export one that a terminal can be shown.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, text)
}

// scope notes that a resource has a scope.
func (p *plan) scope(uri, name, description string) {
	if p.scopes[uri] == nil {
		p.scopes[uri] = map[string]string{}
		p.order = append(p.order, uri)
	}
	p.scopes[uri][name] = cmp.Or(p.scopes[uri][name], description)
}

// resource returns the URI of what the other server calls an audience, or "".
func (p *plan) resource(audience string) string {
	if uri, mapped := p.options.Audiences[audience]; mapped {
		return uri
	}
	if u, err := url.Parse(audience); err == nil && u.IsAbs() && (u.Host != "" || u.Opaque != "") {
		return audience
	}
	return ""
}

// done returns the plan with its resources.
func (p *plan) done() Plan {
	for _, uri := range p.order {
		settings := registry.ResourceSettings{URI: uri}
		for name, description := range p.scopes[uri] {
			settings.Scopes = append(settings.Scopes, registry.Scope{Name: name, Description: description})
		}
		slices.SortFunc(settings.Scopes, func(a, b registry.Scope) int { return cmp.Compare(a.Name, b.Name) })
		p.Wanted.Resources = append(p.Wanted.Resources, settings)
	}
	return p.Plan
}

// Grants by resource, in the order in which they came.
type grants []oauth.Grant

// add puts a scope into the grant for a resource.
func (g *grants) add(uri, scope string, byDefault bool) {
	at := slices.IndexFunc(*g, func(grant oauth.Grant) bool { return grant.Resource == uri })
	if at < 0 {
		at = len(*g)
		*g = append(*g, oauth.Grant{Resource: uri})
	}
	grant := &(*g)[at]
	if !slices.Contains(grant.Scopes, scope) {
		grant.Scopes = append(grant.Scopes, scope)
	}
	if byDefault && !slices.Contains(grant.Defaults, scope) {
		grant.Defaults = append(grant.Defaults, scope)
	}
}

// validID reports whether an ID can be kept, which the report says before the server would refuse all for it.
func (p *plan) validID(id string) bool {
	if nameOf(id) == id && id != "" {
		return true
	}
	p.report("client", id, Skipped, "its ID has other characters than A-Z a-z 0-9 . _ -, or more than 64: register it anew")
	return false
}

// name returns what a client is to be called, and reports a name that had to be changed.
func (p *plan) name(id, name string) string {
	kept := cmp.Or(nameOf(name), id)
	if name != "" && name != kept {
		p.report("client", id, Changed, "its name %q has become %s", name, kept)
	}
	return kept
}

// nameOf makes a name one that Writ takes: other characters become hyphens.
func nameOf(text string) string {
	var out strings.Builder
	for _, c := range text {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
			out.WriteRune(c)
		case out.Len() > 0 && !strings.HasSuffix(out.String(), "-"):
			out.WriteByte('-')
		}
	}
	name := strings.TrimLeft(out.String(), "._-")
	if name != text { // a name that is good stays, whatever it ends in
		name = strings.TrimRight(name, "-")
	}
	return name[:min(len(name), 64)]
}

// maxTTL is the longest life of a token that a client can have, in seconds.
const maxTTL = 24 * 60 * 60

// ttl returns the life of a client's tokens.
func (p *plan) ttl(id string, seconds int64) int64 {
	if seconds > maxTTL {
		p.report("client", id, Changed, "its tokens lived %d seconds, and live %d", seconds, maxTTL)
		return maxTTL
	}
	return max(0, seconds)
}

// validScope reports whether a scope can be registered.
func validScope(name string) bool { return oauth.ValidScopeToken(name) && len(name) <= 128 }

// wrongKind is the answer to a file that is something else.
func wrongKind(server, want string) error {
	return errors.New("importer: this is no export of " + server + ": " + want)
}

// trim takes away what editors leave at the beginning of a file.
func trim(data []byte) []byte { return bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))) }
