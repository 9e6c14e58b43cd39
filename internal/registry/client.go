package registry

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// CreateClient registers a client. One that authenticates with a secret is returned with it; one with a key or a certificate
// has none. Left-out members get RFC 7591's defaults.
func (r *Registry) CreateClient(ctx context.Context, actor Actor, metadata oauth.ClientMetadata) (Registered, error) {
	metadata = withDefaults(metadata)
	once := r.once("create client", actor, r.request)
	id, secretID, secret := newID(metadata.ClientName), newSecretID(), Secret("")
	if usesSecrets(metadata.TokenEndpointAuthMethod) {
		secret = once.text(id, secretID)
	}
	var made Client
	err := r.change(ctx, actor, ClientsWrite, func(tx transaction) (store.Event, error) {
		if again, err := once.again(ctx, tx, metadata, tx.now); again || err != nil {
			if err == nil {
				made, secret, err = r.madeBefore(ctx, tx, once, metadata)
			}
			return store.Event{}, err
		}
		record := store.Client{ID: id, AuthMethod: metadata.TokenEndpointAuthMethod, Created: tx.now, Updated: tx.now}
		var p problems
		p.authentication(&record, metadata, tx.now)
		if err := r.checkClient(ctx, tx, metadata, p); err != nil {
			return store.Event{}, err
		}
		describe(&record, metadata)
		if secret != "" {
			record.Secrets = []store.Secret{{ID: secretID, Hash: store.HashSecret(secret.Reveal()), Created: tx.now, Request: once.mark(id)}}
		}
		event, err := r.insertClient(ctx, tx, record)
		if err != nil {
			return store.Event{}, err
		}
		made, err = r.closeView(ctx, tx, record)
		return event, err
	})
	if err != nil {
		return Registered{}, err
	}
	return Registered{Client: made, Secret: secret}, nil
}

// madeBefore returns the client that a request made which is sent again, with the secret that it was shown.
func (r *Registry) madeBefore(ctx context.Context, tx transaction, once once, metadata oauth.ClientMetadata) (Client, Secret, error) {
	record, err := r.ownClient(ctx, tx, metadata.ClientName)
	if errors.Is(err, NotFound) || err == nil && record.Name != metadata.ClientName {
		err = errGone
	}
	if err != nil {
		return Client{}, "", err
	}
	secret := Secret("")
	if usesSecrets(metadata.TokenEndpointAuthMethod) {
		known, found := once.find(&record)
		if !found {
			return Client{}, "", errGone
		}
		if secret, err = once.repeat(record.ID, known); err != nil {
			return Client{}, "", err
		}
	}
	client, err := r.closeView(ctx, tx, record)
	return client, secret, err
}

func (r *Registry) insertClient(ctx context.Context, tx transaction, record store.Client) (store.Event, error) {
	scopes, err := r.adminScopesOf(ctx, tx, record)
	if err != nil {
		return store.Event{}, err
	}
	if err := tx.ceiling(scopes); err != nil {
		return store.Event{}, err
	}
	// A name that is another client's ID would make commands mean the wrong one.
	if _, err := tx.Clients().Get(ctx, record.Name); !errors.Is(err, store.ErrNotFound) {
		if err == nil {
			err = conflict("%s is the ID of another client", record.Name)
		}
		return store.Event{}, err
	}
	err = tx.Clients().Insert(ctx, record)
	if errors.Is(err, store.ErrExists) {
		err = conflict("a client named %s exists already", record.Name)
	}
	return store.Event{Action: "client.created", Object: record.ID, Detail: detail(settingsOf(record))}, err
}

// Client returns a client by ID or name.
func (r *Registry) Client(ctx context.Context, actor Actor, nameOrID string) (Client, error) {
	if err := r.read(ctx, actor, ClientsRead); err != nil {
		return Client{}, err
	}
	record, err := findClient(ctx, r.store, nameOrID)
	if err != nil {
		return Client{}, wrap(err)
	}
	client, err := r.closeView(ctx, r.store, record)
	if err == nil {
		err = describeRegistration(ctx, r.store, &client)
	}
	return client, wrap(err)
}

// UpdateClient replaces what is registered about a client, all but its name and whether it is suspended. Its method stays
// when the update names none, so that no client falls back to secrets by an omission. Its secrets stay as long as a method
// that is accepted needs them. So do its keys: an update that names neither jwks nor jwks_uri leaves them as they are, and
// jwks or jwks_uri replaces them at once; a key that was there already keeps its dates.
func (r *Registry) UpdateClient(ctx context.Context, actor Actor, nameOrID string, update ClientUpdate) (Client, error) {
	return r.changeClient(ctx, actor, nameOrID, func(tx transaction, record *store.Client) (store.Event, error) {
		metadata := update.ClientMetadata
		metadata.TokenEndpointAuthMethod = cmp.Or(metadata.TokenEndpointAuthMethod, record.AuthMethod)
		metadata = withDefaults(metadata)
		if metadata.ClientName != record.Name {
			return store.Event{}, invalid(Problem{"client_name", "cannot be changed"})
		}
		var p problems
		p.method(record, metadata.TokenEndpointAuthMethod, update.KeepFormerUntil, tx.now)
		p.authentication(record, metadata, tx.now)
		if err := r.checkClient(ctx, tx, metadata, p); err != nil {
			return store.Event{}, err
		}
		describe(record, metadata)
		scopes, err := r.adminScopesOf(ctx, tx, *record)
		if err != nil {
			return store.Event{}, err
		}
		return store.Event{Action: "client.updated", Detail: detail(settingsOf(*record))}, tx.ceiling(scopes)
	})
}

// SuspendClient stops a client: it gets no token, and the ones it has are inactive at introspection from now on.
func (r *Registry) SuspendClient(ctx context.Context, actor Actor, nameOrID string) (Client, error) {
	return r.changeClient(ctx, actor, nameOrID, func(tx transaction, record *store.Client) (store.Event, error) {
		if record.Suspended {
			return store.Event{}, nil
		}
		record.Suspended, record.NotBefore = true, tx.now
		return store.Event{Action: "client.suspended"}, nil
	})
}

// afterSuspension is how long after a suspension a token may still be issued: by a node that has not heard of it, or to a
// request that had authenticated by then. It is more than a second, which is what a node may be behind.
const afterSuspension = 5 * time.Second

// resume lets a client have tokens again. Those that were issued when it was suspended already come alive no more than those
// from before: one of them may be why it was suspended.
func resume(record *store.Client, now time.Time) {
	record.Suspended = false
	end := record.NotBefore.Add(afterSuspension)
	if end.After(now) {
		end = now
	}
	if end.After(record.NotBefore) {
		record.NotBefore = end
	}
}

// ResumeClient lets a suspended client have tokens again. Those from before stay inactive.
func (r *Registry) ResumeClient(ctx context.Context, actor Actor, nameOrID string) (Client, error) {
	return r.changeClient(ctx, actor, nameOrID, func(tx transaction, record *store.Client) (store.Event, error) {
		if !record.Suspended {
			return store.Event{}, nil
		}
		resume(record, tx.now)
		return store.Event{Action: "client.resumed"}, nil
	})
}

// DeleteClient removes a client. Its ID is never given to another.
func (r *Registry) DeleteClient(ctx context.Context, actor Actor, nameOrID string) error {
	return r.change(ctx, actor, ClientsWrite, func(tx transaction) (store.Event, error) {
		record, err := r.ownClient(ctx, tx, nameOrID)
		if err != nil {
			return store.Event{}, err
		}
		pruned := record
		prune(&pruned, tx.now)
		if err := r.unchanged("client", record.Name, clientETag(pruned)); err != nil {
			return store.Event{}, err
		}
		event := store.Event{Action: "client.deleted", Object: record.ID, Detail: detail(settingsOf(record))}
		return event, deleteClient(ctx, tx, record.ID)
	})
}

// deleteClient removes a client for good: nobody gets its ID a second time.
func deleteClient(ctx context.Context, tx store.Store, id string) error {
	if err := retireID(ctx, tx, id); err != nil {
		return err
	}
	return tx.Clients().Delete(ctx, id)
}

// Sweep takes from all clients what is over: former methods, secrets and keys that expired. None of it was accepted any
// more. It is background work of the server, and returns how many clients it changed.
func (r *Registry) Sweep(ctx context.Context) (int, error) {
	swept := 0
	err := store.EachDueAtEase(ctx, r.store, r.moment(), func(client store.Client) error {
		if !prune(&client, r.moment()).any() {
			return nil
		}
		swept++
		return r.change(ctx, System(sweeper), ClientsWrite, func(tx transaction) (store.Event, error) {
			record, err := tx.Clients().Get(ctx, client.ID)
			if errors.Is(err, store.ErrNotFound) {
				return store.Event{}, nil // deleted meanwhile
			}
			gone := prune(&record, tx.now)
			if err != nil || !gone.any() {
				return store.Event{}, err
			}
			return store.Event{}, errors.Join(tx.Clients().Put(ctx, record), gone.tell(ctx, tx, record.ID, tx.now))
		})
	})
	return swept, wrap(err)
}

// changeClient reads a client, lets edit change it, and writes it.
func (r *Registry) changeClient(ctx context.Context, actor Actor, nameOrID string,
	edit func(transaction, *store.Client) (store.Event, error),
) (Client, error) {
	var client Client
	err := r.change(ctx, actor, ClientsWrite, func(tx transaction) (store.Event, error) {
		record, err := r.ownClient(ctx, tx, nameOrID)
		if err != nil {
			return store.Event{}, err
		}
		gone := prune(&record, tx.now)
		etag := clientETag(record)
		event, err := edit(tx, &record)
		if err != nil {
			return store.Event{}, err
		}
		if event.Action != "" {
			if err := r.unchanged("client", record.Name, etag); err != nil {
				return store.Event{}, err
			}
			event.Object, record.Updated = record.ID, tx.now
			if err := errors.Join(tx.Clients().Put(ctx, record), gone.tell(ctx, tx, record.ID, tx.now)); err != nil {
				return store.Event{}, err
			}
		}
		client, err = r.closeView(ctx, tx, record)
		return event, err
	})
	if err != nil {
		return Client{}, err
	}
	return client, nil
}

// ownClient finds a client that the actor may change: one that has no more admin scopes than the actor.
func (r *Registry) ownClient(ctx context.Context, tx transaction, nameOrID string) (store.Client, error) {
	record, err := findClient(ctx, tx, nameOrID)
	if err != nil {
		return record, err
	}
	scopes, err := r.adminScopesOf(ctx, tx, record)
	if err != nil {
		return record, err
	}
	return record, tx.ceiling(scopes)
}

// findClient returns a client by ID, or else by name.
func findClient(ctx context.Context, s store.Store, nameOrID string) (store.Client, error) {
	if !validName(nameOrID) {
		return store.Client{}, notFound("client", nameOrID)
	}
	record, err := s.Clients().Get(ctx, nameOrID)
	if !errors.Is(err, store.ErrNotFound) {
		return record, err
	}
	found, err := s.FindClients(ctx, store.ClientQuery{Name: nameOrID, Limit: 1})
	if err == nil && len(found) == 0 {
		err = notFound("client", nameOrID)
	}
	if err != nil {
		return store.Client{}, err
	}
	return found[0], nil
}

// describe puts metadata into a record, all but how the client authenticates.
func describe(record *store.Client, m oauth.ClientMetadata) {
	record.Name, record.GrantTypes = m.ClientName, m.GrantTypes
	record.Grants, record.Roles, record.ResourceServerFor = toGrants(m.Grants), m.Roles, m.ResourceServerFor
	record.MultipleAudiences, record.RotatesSecrets = m.MultipleAudiences, m.RotatesSecrets
	record.TokenReuse = time.Duration(m.TokenReuseSeconds) * time.Second
	record.TokenTTL, record.Networks = time.Duration(m.TokenTTLSeconds)*time.Second, m.Networks
	record.Claims = string(m.Claims)
}

func toGrants(grants []oauth.Grant) []store.Grant {
	var records []store.Grant
	for _, grant := range grants {
		records = append(records, store.Grant{Resource: grant.Resource, Scopes: grant.Scopes, Defaults: grant.Defaults, Claims: string(grant.Claims)})
	}
	return records
}

func fromGrants(records []store.Grant) []oauth.Grant {
	var grants []oauth.Grant
	for _, record := range records {
		grants = append(grants, oauth.Grant{Resource: record.Resource, Scopes: record.Scopes, Defaults: record.Defaults, Claims: claimsView(record.Claims)})
	}
	return grants
}
