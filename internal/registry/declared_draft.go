package registry

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// A draft is the difference between what is registered and what is declared. It is made without writing: resources and roles
// first, then every client is seen once, so that not all of them need to be held.
type draft struct {
	registry *Registry
	now      time.Time
	self     string // ID of the client that asks
	wish     Declaration

	before, after known
	named         map[string]store.Client // those that the file names, by name
	asked         map[string]bool         // the names in the file
	taken         map[string]bool         // those of them that are the ID of a client
	holders       map[string][]string     // IDs of clients that have a role which changes, by its name, and
	more          map[string]int          // how many more there are than are looked at
	touched       map[string]bool         // IDs of the clients that change
	pruned        []store.Client
	uses          map[string][]store.Use // see readUses

	problems problems
	changes  []change
	keyed    []ResourceSettings // resources whose tokens may need a first key
}

// A change is one object's, with what it takes to make it.
type change struct {
	DeclaredChange
	scope string      // to write the kind
	admin oauth.Scope // the admin scopes that it gives, changes or takes away
	event store.Event
	write func(context.Context, store.Store) error
	was   store.Client // of a client that is there already
	is    store.Client // of a client that will be
}

func newDraft(r *Registry, self string, wish Declaration, current known) *draft {
	d := &draft{
		registry: r, now: r.moment(), self: self, wish: wish, before: current,
		after: known{maps.Clone(current.resources), maps.Clone(current.roles)},
		named: map[string]store.Client{}, asked: map[string]bool{}, taken: map[string]bool{}, holders: map[string][]string{}, more: map[string]int{}, touched: map[string]bool{},
	}
	for _, client := range wish.State.Clients {
		d.asked[client.ClientName] = true
	}
	return d
}

// under adds what is wrong with one object of the file.
func (d *draft) under(field string, found problems) {
	for _, problem := range found {
		d.problems.add("state."+field+"."+problem.Field, "%s", problem.Text)
	}
}

// twice reports, and adds, that a file has two objects with one name.
func (d *draft) twice(field, name string, seen map[string]bool) bool {
	if seen[name] {
		d.problems.add("state."+field, "%s is there twice", oauth.SafeText(name))
		return true
	}
	seen[name] = true
	return false
}

func (d *draft) resources() {
	seen := map[string]bool{}
	for i, settings := range d.wish.State.Resources {
		if !d.twice(at("resources", i)+".uri", settings.URI, seen) {
			d.resource(at("resources", i), resourceDefaults(settings))
		}
	}
	if d.wish.State.Resources == nil || !d.wish.Prune {
		return
	}
	for _, uri := range slices.Sorted(maps.Keys(d.before.resources)) {
		if !seen[uri] && uri != d.registry.admin {
			delete(d.after.resources, uri)
			d.add(change{
				DeclaredChange: DeclaredChange{Action: "delete", Kind: "resource", Name: uri}, scope: ResourcesWrite,
				event: store.Event{Action: "resource.deleted", Object: uri},
				write: func(ctx context.Context, tx store.Store) error { return tx.Resources().Delete(ctx, uri) },
			})
		}
	}
}

func (d *draft) resource(field string, settings ResourceSettings) {
	if settings.URI == d.registry.admin {
		d.problems.add("state."+field+".uri", "is the admin API, which the server looks after itself: leave it out")
		return
	}
	old, exists := d.before.resources[settings.URI]
	record := resourceRecord(settings, d.now)
	made := change{
		DeclaredChange: DeclaredChange{Action: "create", Kind: "resource", Name: settings.URI}, scope: ResourcesWrite,
		event: store.Event{Action: "resource.created", Object: settings.URI, Detail: detail(settings)},
		write: func(ctx context.Context, tx store.Store) error { return tx.Resources().Insert(ctx, record) },
	}
	var was facts
	if exists {
		record.Created, record.NotBefore = old.Created, old.NotBefore
		was = factsOf(resourceView(old).ResourceSettings, "uri")
		made.Action, made.event.Action = "change", "resource.updated"
		made.write = func(ctx context.Context, tx store.Store) error { return tx.Resources().Put(ctx, record) }
	}
	if made.Fields = compare(was, factsOf(settings, "uri")); exists && len(made.Fields) == 0 {
		return
	}
	d.under(field, d.registry.validateResource(settings))
	d.after.resources[settings.URI] = record
	d.keyed = append(d.keyed, settings)
	d.add(made)
}

func (d *draft) roles() {
	seen := map[string]bool{}
	for i, settings := range d.wish.State.Roles {
		if !d.twice(at("roles", i)+".name", settings.Name, seen) {
			d.role(at("roles", i), settings)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.before.roles)) {
		old := d.before.roles[name]
		switch {
		case seen[name]:
		case d.wish.State.Roles == nil || !d.wish.Prune:
			d.inTheWay("role", name, old.Grants, nil, nil)
		default:
			delete(d.after.roles, name)
			d.add(change{
				DeclaredChange: DeclaredChange{Action: "delete", Kind: "role", Name: name}, scope: RolesWrite,
				admin: d.registry.adminScopesIn(old.Grants), event: store.Event{Action: "role.deleted", Object: name},
				write: func(ctx context.Context, tx store.Store) error { return tx.Roles().Delete(ctx, name) },
			})
		}
	}
}

func (d *draft) role(field string, settings RoleSettings) {
	old, exists := d.before.roles[settings.Name]
	record := store.Role{
		Name: settings.Name, Description: settings.Description, Grants: toGrants(settings.Grants), Created: d.now, Updated: d.now,
	}
	made := change{
		DeclaredChange: DeclaredChange{Action: "create", Kind: "role", Name: settings.Name}, scope: RolesWrite,
		admin: d.registry.adminScopesIn(append(slices.Clone(old.Grants), record.Grants...)),
		event: store.Event{Action: "role.created", Object: settings.Name, Detail: detail(settings)},
		write: func(ctx context.Context, tx store.Store) error { return tx.Roles().Insert(ctx, record) },
	}
	var was facts
	if exists {
		record.Created = old.Created
		was = factsOf(roleView(old).RoleSettings, "name")
		made.Action, made.event.Action = "change", "role.updated"
		made.write = func(ctx context.Context, tx store.Store) error { return tx.Roles().Put(ctx, record) }
	}
	if made.Fields = compare(was, factsOf(settings, "name")); exists && len(made.Fields) == 0 {
		d.inTheWay("role", old.Name, old.Grants, nil, nil)
		return
	}
	var p problems
	p.name("name", settings.Name)
	p.text("description", settings.Description)
	p.grants(settings.Grants, d.after.resources)
	d.under(field, p)
	d.after.roles[settings.Name] = record
	if exists {
		d.holders[settings.Name] = nil
	}
	d.add(made)
}

func (d *draft) add(c change) {
	d.changes = append(d.changes, c)
	d.touched[c.was.ID] = true
}

// inTheWay adds that something which stays as it is names what would be no more: a resource, one of its scopes, or a role.
func (d *draft) inTheWay(kind, name string, grants []store.Grant, roles, serves []string) {
	for _, role := range roles {
		if _, stays := d.after.roles[role]; !stays {
			d.problems.add("state.roles", "the %s %s has the role %s: it cannot be deleted", kind, name, role)
		}
	}
	for _, uri := range serves {
		if _, stays := d.after.resources[uri]; !stays {
			d.problems.add("state.resources", "the %s %s introspects for %s: it cannot be deleted", kind, name, uri)
		}
	}
	for _, grant := range grants {
		resource, stays := d.after.resources[grant.Resource]
		if !stays {
			d.problems.add("state.resources", "the %s %s names %s: it cannot be deleted", kind, name, grant.Resource)
			continue
		}
		for _, scope := range grant.Scopes {
			had := slices.ContainsFunc(d.before.resources[grant.Resource].Scopes, func(s store.Scope) bool { return s.Name == scope })
			if had && !slices.ContainsFunc(resource.Scopes, func(s store.Scope) bool { return s.Name == scope }) {
				d.problems.add("state.resources", "the %s %s has the scope %s of %s: it cannot be taken away", kind, name, scope, grant.Resource)
			}
		}
	}
}

// fingerprint stands for what is to be changed, and for what was read to find that out: all resources and roles, and the
// clients that the file names or that would be deleted. Another client may come or go.
func (d *draft) fingerprint() string {
	hash := sha256.New()
	encoder := json.NewEncoder(hash)
	put := func(value any) { _ = encoder.Encode(value) } // plain records, and a hash takes all
	put(d.wish.Prune)
	put([]any{d.before.resources, d.before.roles, d.named, d.pruned, len(d.changes)})
	for _, change := range d.changes {
		put(change.DeclaredChange)
	}
	return base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:18])
}

// adminScopesOf is Registry.adminScopesOf with the roles as they are, or would be.
func (d *draft) adminScopesOf(client store.Client, roles map[string]store.Role) oauth.Scope {
	if slices.Contains(client.ResourceServerFor, d.registry.admin) {
		return AdminScopes()
	}
	grants := slices.Clone(client.Grants)
	for _, name := range client.Roles {
		grants = append(grants, roles[name].Grants...)
	}
	return d.registry.adminScopesIn(grants)
}
