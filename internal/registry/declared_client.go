package registry

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// maxHolders bounds how many clients of a role are looked at to find out who uses it.
const maxHolders = 1000

// look sees the clients that the file can concern: those that it names, and all of them when resources or roles are changed,
// which anybody may have, or what is not in the file goes. All of 100 000 clients take seconds.
func (d *draft) look(ctx context.Context, s store.Store) error {
	if d.wish.Prune || len(d.changes) > 0 {
		return store.Each(ctx, s.Clients(), func(client store.Client) error {
			d.see(client)
			return nil
		})
	}
	// That a name is none is a problem, which is told with the others. By ID, it is taken.
	names := slices.DeleteFunc(slices.Collect(maps.Keys(d.asked)), func(name string) bool { return !validName(name) })
	found, err := clientsCalled(ctx, s, names)
	for _, client := range found {
		d.see(client)
	}
	return err
}

// clientsCalled is store.ClientsCalled for any number of words.
func clientsCalled(ctx context.Context, s store.Store, words []string) (clients []store.Client, err error) {
	for some := range slices.Chunk(words, MaxLimit) {
		found, err := s.ClientsCalled(ctx, some...)
		if err != nil {
			return nil, err
		}
		clients = append(clients, found...)
	}
	slices.SortFunc(clients, func(a, b store.Client) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(clients, func(a, b store.Client) bool { return a.ID == b.ID }), nil
}

// see is called for each client that may be concerned.
func (d *draft) see(client store.Client) {
	for _, role := range client.Roles {
		switch some, changed := d.holders[role]; {
		case !changed:
		case len(some) < maxHolders:
			d.holders[role] = append(some, client.ID)
		default:
			d.more[role]++
		}
	}
	if d.asked[client.ID] {
		d.taken[client.ID] = true
	}
	switch {
	case d.asked[client.Name]:
		d.named[client.Name] = client
	case d.wish.Prune && d.wish.State.Clients != nil && client.ID != d.self && !client.SelfRegistered(): // those come and go without the file
		d.pruned = append(d.pruned, client)
	default:
		d.inTheWay("client", client.Name, client.Grants, client.Roles, client.ResourceServerFor)
	}
}

// clients drafts what the file says about clients, when all were seen.
func (d *draft) clients() {
	seen := map[string]bool{}
	for i, wish := range d.wish.State.Clients {
		field := at("clients", i)
		switch old, exists := d.named[wish.ClientName]; {
		case d.twice(field+".client_name", wish.ClientName, seen):
		case exists:
			d.changeClient(field, wish, old)
		default:
			d.createClient(field, wish)
		}
	}
	for _, client := range d.pruned {
		d.add(change{
			DeclaredChange: DeclaredChange{Action: "delete", Kind: "client", Name: client.Name}, scope: ClientsWrite,
			admin: d.adminScopesOf(client, d.before.roles), was: client,
			event: store.Event{Action: "client.deleted", Object: client.ID, Detail: detail(settingsOf(client))},
			write: func(ctx context.Context, tx store.Store) error { return deleteClient(ctx, tx, client.ID) },
		})
	}
}

func (d *draft) createClient(field string, wish DeclaredClient) {
	metadata := withDefaults(wish.ClientMetadata)
	record := store.Client{
		ID: newID(metadata.ClientName), AuthMethod: metadata.TokenEndpointAuthMethod, Suspended: wish.Suspended, Created: d.now, Updated: d.now,
	}
	var p problems
	added := d.secret(&p, &record, wish)
	p.authentication(&record, metadata, d.now)
	if usesSecrets(record.AuthMethod) && wish.Secret == "" && !wish.SecretPending {
		p.add("secret", "a new client with a secret needs one, and none is invented: name it, as secret: {env: NAME} or secret: {file: PATH}, "+
			"or register the client first, which makes its secret: writ client create %s …", oauth.SafeText(metadata.ClientName))
	}
	if d.taken[wish.ClientName] {
		// Commands take a name or an ID: the name would make them mean the wrong one.
		p.add("client_name", "is the ID of another client")
	}
	describe(&record, metadata)
	d.limits(&p, &record, wish)
	d.under(field, append(validateClient(metadata, d.after), p...))
	d.add(change{
		DeclaredChange: DeclaredChange{Action: "create", Kind: "client", Name: record.Name, Fields: withSecret(compare(nil, clientFacts(record)), added)},
		scope:          ClientsWrite, admin: d.adminScopesOf(record, d.after.roles), is: record,
		event: store.Event{Action: "client.created", Object: record.ID, Detail: declaredDetail(record)},
		write: func(ctx context.Context, tx store.Store) error {
			err := tx.Clients().Insert(ctx, record)
			if errors.Is(err, store.ErrExists) {
				err = conflict("a client named %s exists already", record.Name)
			}
			return err
		},
	})
}

func (d *draft) changeClient(field string, wish DeclaredClient, old store.Client) {
	record := old
	gone := prune(&record, d.now)
	was := clientFacts(record)
	metadata := wish.ClientMetadata
	metadata.TokenEndpointAuthMethod = cmp.Or(metadata.TokenEndpointAuthMethod, record.AuthMethod)
	metadata = withDefaults(metadata)
	var p problems
	method := record.AuthMethod
	record.AuthMethod = metadata.TokenEndpointAuthMethod
	added := d.secret(&p, &record, wish)
	record.AuthMethod = method
	wrong := len(p) > 0
	if wish.KeyLimit != nil { // it takes the place of those that the keys have
		limitKeys(&record, store.Limit{})
	}
	p.method(&record, metadata.TokenEndpointAuthMethod, time.Time{}, d.now)
	p.authentication(&record, metadata, d.now)
	describe(&record, metadata)
	d.limits(&p, &record, wish)
	wrong = wrong || len(p) > 0
	action := "client.updated"
	if record.Suspended != wish.Suspended {
		if action = "client.resumed"; wish.Suspended {
			action, record.NotBefore = "client.suspended", d.now
		} else {
			resume(&record, d.now)
		}
		if record.Suspended = wish.Suspended; record.ID == d.self && wish.Suspended {
			p.add("suspended", "is the operator that applies: nobody would be left to resume it")
		}
	}
	fields := withSecret(compare(was, clientFacts(record)), added)
	if len(fields) == 0 && !wrong {
		d.inTheWay("client", old.Name, old.Grants, old.Roles, old.ResourceServerFor)
		return
	}
	d.under(field, append(validateClient(metadata, d.after), p...))
	admin := d.adminScopesOf(old, d.before.roles)
	admin = append(admin, admin.Missing(d.adminScopesOf(record, d.after.roles)...)...)
	record.Updated = d.now
	d.add(change{
		DeclaredChange: DeclaredChange{Action: "change", Kind: "client", Name: record.Name, Fields: fields},
		scope:          ClientsWrite, admin: admin, was: old, is: record,
		event: store.Event{Action: action, Object: record.ID, Detail: declaredDetail(record)},
		write: func(ctx context.Context, tx store.Store) error {
			return errors.Join(tx.Clients().Put(ctx, record), gone.tell(ctx, tx, record.ID, d.now))
		},
	})
}

// secret gives a client the secret that is declared for it, if it does not have it, and reports what is added. To the ones
// of before this is a rotation.
func (d *draft) secret(p *problems, record *store.Client, wish DeclaredClient) (added string) {
	switch {
	case wish.SecretPending:
		return "one that is not at hand yet"
	case wish.Secret == "":
		return ""
	case !usesSecrets(record.AuthMethod):
		p.add("secret", "belongs to %s and %s, and the method is %s", oauth.ClientSecretBasic, oauth.ClientSecretPost, record.AuthMethod)
		return ""
	}
	if why := weakSecret(wish.Secret.Reveal()); why != "" {
		p.add("secret", "%s; let the server make one: writ client secret rotate %s, or writ client create", why, oauth.SafeText(wish.ClientName))
		return ""
	}
	hash := store.HashSecret(wish.Secret.Reveal())
	secrets := make([]store.Secret, 0, len(record.Secrets)+1)
	for _, held := range record.Secrets {
		if held.Hash == hash {
			return ""
		}
		if held.Rotated.IsZero() { // the end that one was given before stays
			rotateOut(&held, nil, d.now, DefaultKeep)
		}
		secrets = append(secrets, held)
	}
	if len(secrets) >= maxSecrets {
		p.add("secret", "the client has %d secrets, which is the most: revoke one first", len(secrets))
	}
	limit, err := inheritedLimit(limitsOfSecrets(record.Secrets))
	if err != nil && wish.SecretLimit == nil {
		p.add("secret", "is new, and the client's secrets have different ceilings: say which with secret_limit, or add it by itself, writ client secret add %s", oauth.SafeText(wish.ClientName))
	}
	record.Secrets = append(secrets, store.Secret{ID: newSecretID(), Hash: hash, Created: d.now, Limit: limit})
	return "a new one"
}

func withSecret(fields []DeclaredField, added string) []DeclaredField {
	if added == "" {
		return fields
	}
	return append(fields, DeclaredField{Field: "secret", Added: []string{added}})
}

// declaredDetail describes a client as it is from now on, and which secrets it has, by their IDs.
func declaredDetail(record store.Client) string {
	said := struct {
		settings
		Suspended bool     `json:"suspended,omitempty"`
		Secrets   []string `json:"secrets,omitempty"`
	}{settings: settingsOf(record), Suspended: record.Suspended}
	for _, secret := range record.Secrets {
		said.Secrets = append(said.Secrets, secret.ID)
	}
	return detail(said)
}
