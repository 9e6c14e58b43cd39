package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// lately is how far back a use tells that something is needed: what happens once a quarter is in it.
const lately = 90 * 24 * time.Hour

// maxImpact bounds what is told of one change.
const maxImpact = 20

// impact returns what a change would break, by what was used lately.
func (d *draft) impact(ctx context.Context, s store.Store, c change) ([]DeclaredImpact, error) {
	if c.Kind == "role" && c.Action == "change" {
		return d.roleImpact(ctx, s, c)
	}
	if c.was.ID == "" {
		return nil, nil
	}
	uses := d.lateUses(c.was.ID)
	if len(uses) == 0 {
		return nil, nil
	}
	var found []DeclaredImpact
	for _, use := range uses {
		if text := fate(c, use.Credential); text != "" {
			found = append(found, DeclaredImpact{
				Client: c.was.Name, Text: nameOf(c.was, use.Credential) + " " + text, LastUse: lastUseOf(use),
			})
		}
	}
	if c.Action == "change" {
		found = append(found, leftOut(c, uses)...)
	}
	if less := lessThan(c.Fields, !recordsScopes(uses)); less != "" && c.Action == "change" {
		found = append(found, DeclaredImpact{Client: c.was.Name, Text: less, LastUse: newest(uses)})
	}
	if !c.was.Suspended {
		found = append(found, lostScopes(c.was.Name, uses, reachable(c.was, rightsOf(c.was, d.before)), d.rightsAfter(c))...)
	}
	return bounded(found), nil
}

// rightsAfter returns what a client may have when a change was made: nothing if that stops it.
func (d *draft) rightsAfter(c change) rights {
	if c.Action == "delete" || c.is.Suspended {
		return nil
	}
	return reachable(c.is, rightsOf(c.is, d.after))
}

// bounded returns the first of what was found, and how much more there is.
func bounded(found []DeclaredImpact) []DeclaredImpact {
	if more := len(found) - maxImpact; more > 0 {
		return append(found[:maxImpact:maxImpact], DeclaredImpact{Text: fmt.Sprintf("and %d more that were used lately", more)})
	}
	return found
}

// readUses reads what the clients used that a change may concern, all at once.
func (d *draft) readUses(ctx context.Context, s store.Store) (err error) {
	var ids []string
	for _, c := range d.changes {
		if c.was.ID != "" {
			ids = append(ids, c.was.ID)
		}
	}
	for _, holders := range d.holders {
		ids = append(ids, holders...)
	}
	slices.Sort(ids)
	d.uses, err = usesOf(ctx, s, slices.Compact(ids))
	return err
}

// lateUses returns what a client used lately, in the order of the names.
func (d *draft) lateUses(id string) []store.Use {
	return slices.DeleteFunc(slices.Clone(d.uses[id]), func(u store.Use) bool { return u.Last.Before(d.now.Add(-lately)) })
}

func newest(uses []store.Use) LastUse {
	use := slices.MaxFunc(uses, func(a, b store.Use) int { return a.Last.Compare(b.Last) })
	return lastUseOf(use)
}

// leftOut names the addresses that a client was used from, and could be used from no more.
func leftOut(c change, uses []store.Use) []DeclaredImpact {
	var found []DeclaredImpact
	seen := map[string]bool{}
	for _, use := range uses {
		ceiling := func(client store.Client) []string { return limitOf(client, use.Credential).Networks }
		text := "is refused from " + use.Remote + ", which is not in its networks"
		switch {
		case seen[use.Remote], !inNetworks(c.was.Networks, use.Remote), !inNetworks(ceiling(c.was), use.Remote):
			continue
		case inNetworks(c.is.Networks, use.Remote) && inNetworks(ceiling(c.is), use.Remote):
			continue
		case inNetworks(c.is.Networks, use.Remote):
			text = nameOf(c.was, use.Credential) + " " + text
		}
		seen[use.Remote] = true
		found = append(found, DeclaredImpact{Client: c.was.Name, Text: text, LastUse: lastUseOf(use)})
	}
	return found
}

// fate says what becomes of a credential that works now; "" if nothing.
func fate(c change, credential string) string {
	was, is := holds(c.was, credential), holds(c.is, credential)
	switch {
	case !was.works:
		return ""
	case c.Action == "delete", !is.works, c.is.Suspended && !c.was.Suspended:
		return "stops working"
	case !is.ends.IsZero() && !is.ends.Equal(was.ends):
		return "stops working at " + is.ends.Format(time.RFC3339)
	}
	return ""
}

// A hold says whether a credential counts, and until when.
type hold struct {
	works bool
	ends  time.Time
}

func holds(client store.Client, credential string) hold {
	for _, secret := range client.Secrets {
		if secret.ID == credential {
			return hold{accepts(&client, usesSecrets), secret.Expires}
		}
	}
	for _, key := range client.Keys {
		if key.ID == credential {
			return hold{accepts(&client, usesKeys), key.Expires}
		}
	}
	switch {
	case strings.HasPrefix(credential, "kid:"):
		return hold{works: client.JWKSURI != ""}
	case credential == "certificate":
		return hold{works: client.CertificateRule != ""}
	}
	return hold{}
}

func nameOf(client store.Client, credential string) string {
	switch {
	case slices.ContainsFunc(client.Secrets, func(s store.Secret) bool { return s.ID == credential }):
		return "secret " + credential
	case credential == "certificate":
		return "the certificate"
	}
	return "key " + strings.TrimPrefix(credential, "kid:")
}

// tightens are the members that make a request fail which was good before, when they are added.
var tightens = []string{"dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens"}

// replaces are the members whose new value may not be what the client has.
var replaces = []string{"jwks_uri", "tls_client_auth_", "token_endpoint_auth_method", "token_endpoint_auth_signing_alg"}

// lessThan says what a client that is in use could do before, and could not any more; "" if it could all. With grants, the
// scopes that are taken from it count, be they used or not.
func lessThan(fields []DeclaredField, grants bool) string {
	var lost []string
	for _, field := range fields {
		rights := grants && strings.HasPrefix(field.Field, "grants[") || field.Field == "roles" || field.Field == "resource_server_for" || field.Field == "multiple_audiences"
		replaced := slices.ContainsFunc(replaces, func(name string) bool { return strings.HasPrefix(field.Field, name) })
		claim := strings.HasPrefix(field.Field, "claims.") || strings.Contains(field.Field, "].claims.")
		switch {
		case claim && len(field.Removed) > 0:
			lost = append(lost, "has tokens without the former "+field.Field)
		case claim:
		case rights && len(field.Removed) > 0 && field.Removed[0] != "yes":
			lost = append(lost, "loses "+strings.Join(field.Removed, " ")+" of "+field.Field)
		case replaced && len(field.Removed) > 0:
			lost = append(lost, "must know of the new "+field.Field)
		case slices.Contains(tightens, field.Field) && len(field.Added) > 0:
			lost = append(lost, "must do what "+field.Field+" asks for")
		}
	}
	if len(lost) == 0 {
		return ""
	}
	return "the client is in use, and " + strings.Join(lost, ", ")
}

// roleImpact names the clients that have a role which would be less, and use what it loses. Those that change as well have an
// impact of their own.
func (d *draft) roleImpact(ctx context.Context, s store.Store, c change) ([]DeclaredImpact, error) {
	if lessThan(c.Fields, true) == "" {
		return nil, nil
	}
	unused := func(id string) bool { return d.touched[id] || len(d.lateUses(id)) == 0 }
	clients, err := clientsCalled(ctx, s, slices.DeleteFunc(slices.Clone(d.holders[c.Name]), unused))
	if err != nil {
		return nil, err
	}
	var found []DeclaredImpact
	for _, client := range clients {
		if !unused(client.ID) && slices.Contains(client.Roles, c.Name) && !client.Suspended { // it may only be called as another's ID
			found = append(found, d.lostWithRole(c, client)...)
		}
	}
	found = bounded(found)
	if more := d.more[c.Name]; more > 0 {
		found = append(found, DeclaredImpact{Text: fmt.Sprintf("%d more clients have the role: what they use was not looked at", more)})
	}
	return found, nil
}

// lostWithRole returns what one client uses and would lose when a role becomes less.
func (d *draft) lostWithRole(c change, client store.Client) []DeclaredImpact {
	uses := d.lateUses(client.ID)
	if recordsScopes(uses) {
		return lostScopes(client.Name, uses, rightsOf(client, d.before), rightsOf(client, d.after))
	}
	return []DeclaredImpact{{Client: client.Name, Text: lessThan(c.Fields, true), LastUse: newest(uses)}}
}
