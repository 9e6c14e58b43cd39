package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// DeclaredState is what a file says that is to be registered. A section that is nil declares nothing: what there is of its
// kind stays as it is. Within a section, everything about an object is what the file says, and what the file leaves out has
// its default; but for the client authentication method, keys and secrets, which stay when they are not named, so that no
// client is locked out, or falls back to a secret, by an omission.
type DeclaredState struct {
	Resources []ResourceSettings `json:"resources,omitzero" doc:"The protected APIs, without the admin API. Left out: they stay as they are"`
	Roles     []RoleSettings     `json:"roles,omitzero" doc:"Bundles of scopes. Left out: they stay as they are"`
	Clients   []DeclaredClient   `json:"clients,omitzero" doc:"The machines that ask for tokens. Left out: they stay as they are"`
}

// A DeclaredClient is a client as a file declares it, found by its name.
type DeclaredClient struct {
	oauth.ClientMetadata
	Suspended     bool   `json:"suspended,omitempty" doc:"Whether the client gets no tokens and its tokens are inactive"`
	Secret        Secret `json:"secret,omitzero" doc:"A secret of 256 random bits; only its hash is kept, and it is in no answer. One that the client has already changes nothing; a new one is added, and the former ones count for 24 h more. Left out: the secrets stay" writeOnly:"true"`
	SecretPending bool   `json:"secret_pending,omitempty" doc:"Of a plan: there is to be a secret, which is not at hand"`
}

// A Declaration asks for a state.
type Declaration struct {
	State DeclaredState `json:"state"`
	Prune bool          `json:"prune,omitempty" doc:"Whether what is registered and not declared is deleted, in the sections that are there; never the admin API nor the caller"`
	// Fingerprint is that of the plan that was agreed to; "" agrees to whatever it takes.
	Fingerprint string `json:"fingerprint,omitempty" doc:"The fingerprint of the plan that is to be carried out; refused if the registry has changed since. Left out: whatever it takes"`
}

// A DeclaredPlan is what it takes to get from what is registered to what is declared. It holds no secret.
type DeclaredPlan struct {
	Fingerprint string           `json:"fingerprint" doc:"Stands for the changes and for what they were made from"`
	Changes     []DeclaredChange `json:"changes" doc:"In order: resources, roles, clients; none if everything is as declared"`
	Needs       []string         `json:"needs,omitempty" doc:"The scopes that it takes to apply the plan"`
}

// A DeclaredChange is one object that is created, changed or deleted.
type DeclaredChange struct {
	Action string           `json:"action" enum:"create,change,delete"`
	Kind   string           `json:"kind" enum:"resource,role,client"`
	Name   string           `json:"name" doc:"The URI of a resource, else the name"`
	Fields []DeclaredField  `json:"fields,omitempty" doc:"What is different"`
	Impact []DeclaredImpact `json:"impact,omitempty" doc:"What the change would break, by what was used in the last 30 days"`
}

// A DeclaredField is one member that is different: the values that go and those that come. Order does not count.
type DeclaredField struct {
	Field   string   `json:"field" example:"grants[https://api.example.com].scopes"`
	Removed []string `json:"removed,omitempty"`
	Added   []string `json:"added,omitempty"`
}

// A DeclaredImpact is something that was used lately and would work no more, or not as before.
type DeclaredImpact struct {
	Client string `json:"client" doc:"The client's name"`
	Text   string `json:"text" example:"secret 4fk2p9qz7a stops working"`
	LastUse
}

// PlanDeclared returns what ApplyDeclared would do, and what that would break by recorded use. It needs to read each kind
// that is declared, and clients in any case.
func (r *Registry) PlanDeclared(ctx context.Context, actor Actor, wish Declaration) (DeclaredPlan, error) {
	for _, scope := range wish.State.scopes(ClientsRead, ResourcesRead, RolesRead) {
		if err := r.read(ctx, actor, scope); err != nil {
			return DeclaredPlan{}, err
		}
	}
	d, err := r.draft(ctx, r.store, actor, wish)
	if err != nil {
		return DeclaredPlan{}, wrap(err)
	}
	plan := d.plan()
	for i, change := range d.changes {
		if plan.Changes[i].Impact, err = d.impact(ctx, r.store, change); err != nil {
			return DeclaredPlan{}, wrap(err)
		}
	}
	return plan, nil
}

// scopes returns the scopes that it takes for the sections of a state: that of clients, and those of what else is there.
func (s DeclaredState) scopes(clients, resources, roles string) []string {
	scopes := []string{clients}
	if s.Resources != nil {
		scopes = append(scopes, resources)
	}
	if s.Roles != nil {
		scopes = append(scopes, roles)
	}
	return scopes
}

// ApplyDeclared makes the registry what a file says, all of it or nothing, and returns what it did. The actor needs the
// scopes to write what changes, clients in any case, and every admin scope that a change gives, changes or takes away. With a
// fingerprint it does what that plan said, or is a Conflict.
func (r *Registry) ApplyDeclared(ctx context.Context, actor Actor, wish Declaration) (DeclaredPlan, error) {
	if err := r.prepareDeclared(ctx, actor, wish); err != nil {
		return DeclaredPlan{}, wrap(err)
	}
	var plan DeclaredPlan
	err := r.change(ctx, actor, ClientsWrite, func(tx transaction) (store.Event, error) {
		d, err := r.draft(ctx, tx, actor, wish)
		if err != nil {
			return store.Event{}, err
		}
		plan = d.plan()
		if wish.Fingerprint != "" && wish.Fingerprint != plan.Fingerprint {
			return store.Event{}, conflict("the registry, or what is declared, is not what the plan was made from: plan again")
		}
		if err := d.allowed(tx.power); err != nil {
			return store.Event{}, err
		}
		return store.Event{}, d.write(ctx, tx, actor)
	})
	if err != nil {
		return DeclaredPlan{}, err
	}
	return plan, nil
}

// prepareDeclared makes the first keys of algorithms that are new, when the actor may do all of it. It is ahead of the
// transaction: RSA keys take their time.
func (r *Registry) prepareDeclared(ctx context.Context, actor Actor, wish Declaration) error {
	power, err := r.authorize(ctx, r.store, actor, ClientsWrite)
	if err != nil {
		return err
	}
	for i, client := range wish.State.Clients {
		if client.SecretPending {
			return invalid(Problem{at("state.clients", i) + ".secret", "is not at hand: it takes the secret to apply"})
		}
	}
	d, err := r.draft(ctx, r.store, actor, wish)
	if err != nil {
		return err
	}
	if err := d.allowed(power); err != nil {
		return err
	}
	for _, settings := range d.keyed {
		if err := r.ensureKey(ctx, settings); err != nil {
			return err
		}
	}
	return nil
}

// draft reads what is registered, and returns how it differs from what is declared.
func (r *Registry) draft(ctx context.Context, s store.Store, actor Actor, wish Declaration) (*draft, error) {
	current := known{map[string]store.Resource{}, map[string]store.Role{}}
	err := each(ctx, s.Resources(), func(resource store.Resource) error {
		current.resources[resource.URI] = resource
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, s.Roles(), func(role store.Role) error {
		current.roles[role.Name] = role
		return nil
	})
	if err != nil {
		return nil, err
	}
	d := newDraft(r, actor.ID, wish, current)
	d.resources()
	d.roles()
	err = each(ctx, s.Clients(), func(client store.Client) error {
		d.see(client)
		return nil
	})
	if err != nil {
		return nil, err
	}
	d.clients()
	return d, invalid(d.problems...)
}

// write does what the draft says. Each object has one event.
func (d *draft) write(ctx context.Context, tx transaction, actor Actor) error {
	for _, change := range d.changes {
		if err := change.write(ctx, tx); err != nil {
			return fmt.Errorf("%s %s: %w", change.Kind, change.Name, err)
		}
		change.event.Time, change.event.Actor = tx.now, actor.ID
		if err := tx.Append(ctx, change.event); err != nil {
			return err
		}
	}
	return nil
}

// allowed refuses a draft that takes a scope which the actor does not hold (CVE-2025-5999): the scope to write a kind, and the
// admin scopes that are given, changed or taken away.
func (d *draft) allowed(power oauth.Scope) error {
	for _, change := range d.changes {
		if !power.Has(change.scope) {
			return forbidden(change.scope, change.Kind+" "+oauth.SafeText(change.Name)+": this needs the scope "+change.scope+" of the admin API")
		}
		err := (transaction{power: power}).ceiling(change.admin)
		if refusal, refused := errors.AsType[*Error](err); refused {
			refusal.Text = change.Kind + " " + oauth.SafeText(change.Name) + ": " + refusal.Text
			return refusal
		}
	}
	return nil
}

// plan returns what a caller sees of a draft.
func (d *draft) plan() DeclaredPlan {
	plan := DeclaredPlan{Fingerprint: d.fingerprint(), Changes: []DeclaredChange{}}
	for _, change := range d.changes {
		plan.Changes = append(plan.Changes, change.DeclaredChange)
		for _, scope := range append(oauth.Scope{change.scope}, change.admin...) {
			if !slices.Contains(plan.Needs, scope) {
				plan.Needs = append(plan.Needs, scope)
			}
		}
	}
	slices.Sort(plan.Needs)
	return plan
}
