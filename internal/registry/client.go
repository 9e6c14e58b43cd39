package registry

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// A Client is what an operator sees of one. No secret can be read back: only hashes are kept, and they stay inside.
type Client struct {
	ID string `json:"client_id" doc:"Never reissued" example:"billing-4fk2p9qz7a"`
	oauth.ClientMetadata
	Suspended bool         `json:"suspended" doc:"Whether the client gets no tokens and its tokens are inactive"`
	Secrets   []SecretInfo `json:"secrets,omitempty" doc:"The secrets that count, without the secrets themselves"`
	Created   time.Time    `json:"created"`
	Updated   time.Time    `json:"updated"`
}

// SecretInfo is what can be told about a secret.
type SecretInfo struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero" doc:"Left out when it does not expire"`
}

// Registered is a new client with its secret, which is shown this once.
type Registered struct {
	Client
	Secret Secret `json:"client_secret" doc:"Shown this once; only a hash is kept" example:"writ_cs_..."`
}

// CreateClient registers a client and returns it with its secret. Left-out members get RFC 7591's defaults.
func (r *Registry) CreateClient(ctx context.Context, actor Actor, metadata oauth.ClientMetadata) (Registered, error) {
	metadata = withDefaults(metadata)
	secret := newSecret()
	record := store.Client{ID: newID(metadata.ClientName)}
	err := r.change(ctx, actor, ClientsWrite, func(tx transaction) (store.Event, error) {
		if err := r.checkClient(ctx, tx, metadata); err != nil {
			return store.Event{}, err
		}
		describe(&record, metadata)
		record.Secrets = []store.Secret{{ID: newSecretID(), Hash: store.HashSecret(secret.Reveal()), Created: tx.now}}
		record.Created, record.Updated = tx.now, tx.now
		return r.insertClient(ctx, tx, record)
	})
	if err != nil {
		return Registered{}, err
	}
	return Registered{Client: clientView(record), Secret: secret}, nil
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
	return store.Event{Action: "client.created", Object: record.ID, Detail: detail(metadataOf(record))}, err
}

// Client returns a client by ID or name.
func (r *Registry) Client(ctx context.Context, actor Actor, nameOrID string) (Client, error) {
	if err := r.read(ctx, actor, ClientsRead); err != nil {
		return Client{}, err
	}
	record, err := findClient(ctx, r.store, nameOrID)
	return clientView(record), wrap(err)
}

// Clients returns clients in the order of their IDs, up to limit of them, behind the one with the ID after; and the ID to
// go on behind, "" at the end.
func (r *Registry) Clients(ctx context.Context, actor Actor, after string, limit int) ([]Client, string, error) {
	if err := r.read(ctx, actor, ClientsRead); err != nil {
		return nil, "", err
	}
	limit, err := checkLimit(limit)
	if err != nil {
		return nil, "", err
	}
	if after != "" && !validName(after) {
		return nil, "", invalid(Problem{"after", "is not the ID of a client"})
	}
	records, err := r.store.Clients().List(ctx, after, limit+1)
	if err != nil {
		return nil, "", wrap(err)
	}
	records, next := page(records, limit)
	clients := make([]Client, 0, len(records))
	for _, record := range records {
		clients = append(clients, clientView(record))
	}
	return clients, next, nil
}

// UpdateClient replaces what is registered about a client, all but its name, its secrets and whether it is suspended.
func (r *Registry) UpdateClient(ctx context.Context, actor Actor, nameOrID string, metadata oauth.ClientMetadata) (Client, error) {
	metadata = withDefaults(metadata)
	return r.changeClient(ctx, actor, nameOrID, func(tx transaction, record *store.Client) (store.Event, error) {
		if metadata.ClientName != record.Name {
			return store.Event{}, invalid(Problem{"client_name", "cannot be changed"})
		}
		if err := r.checkClient(ctx, tx, metadata); err != nil {
			return store.Event{}, err
		}
		describe(record, metadata)
		scopes, err := r.adminScopesOf(ctx, tx, *record)
		if err != nil {
			return store.Event{}, err
		}
		return store.Event{Action: "client.updated", Detail: detail(metadata)}, tx.ceiling(scopes)
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

// ResumeClient lets a suspended client have tokens again. Those from before stay inactive.
func (r *Registry) ResumeClient(ctx context.Context, actor Actor, nameOrID string) (Client, error) {
	return r.changeClient(ctx, actor, nameOrID, func(_ transaction, record *store.Client) (store.Event, error) {
		if !record.Suspended {
			return store.Event{}, nil
		}
		record.Suspended = false
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
		event := store.Event{Action: "client.deleted", Object: record.ID, Detail: detail(metadataOf(record))}
		return event, tx.Clients().Delete(ctx, record.ID)
	})
}

// changeClient reads a client, lets edit change it, and writes it.
func (r *Registry) changeClient(ctx context.Context, actor Actor, nameOrID string,
	edit func(transaction, *store.Client) (store.Event, error),
) (Client, error) {
	var record store.Client
	err := r.change(ctx, actor, ClientsWrite, func(tx transaction) (store.Event, error) {
		var err error
		if record, err = r.ownClient(ctx, tx, nameOrID); err != nil {
			return store.Event{}, err
		}
		event, err := edit(tx, &record)
		if err != nil || event.Action == "" {
			return store.Event{}, err
		}
		event.Object, record.Updated = record.ID, tx.now
		return event, tx.Clients().Put(ctx, record)
	})
	if err != nil {
		return Client{}, err
	}
	return clientView(record), nil
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

// findClient returns a client by ID, or else by name: those with IDs that begin as the name's do are looked through.
func findClient(ctx context.Context, s store.Store, nameOrID string) (store.Client, error) {
	if !validName(nameOrID) {
		return store.Client{}, notFound("client", nameOrID)
	}
	record, err := s.Clients().Get(ctx, nameOrID)
	if !errors.Is(err, store.ErrNotFound) {
		return record, err
	}
	prefix := idPrefix(nameOrID)
	for after := prefix; ; {
		records, err := s.Clients().List(ctx, after, MaxLimit)
		if err != nil {
			return store.Client{}, err
		}
		for _, record := range records {
			if record.Name == nameOrID {
				return record, nil
			}
			if !strings.HasPrefix(record.ID, prefix) {
				return store.Client{}, notFound("client", nameOrID)
			}
			after = record.ID
		}
		if len(records) < MaxLimit {
			return store.Client{}, notFound("client", nameOrID)
		}
	}
}

// describe puts metadata into a record.
func describe(record *store.Client, m oauth.ClientMetadata) {
	record.Name, record.AuthMethod, record.GrantTypes = m.ClientName, m.TokenEndpointAuthMethod, m.GrantTypes
	record.Grants, record.Roles, record.ResourceServerFor = toGrants(m.Grants), m.Roles, m.ResourceServerFor
	record.MultipleAudiences = m.MultipleAudiences
	record.TokenTTL = time.Duration(m.TokenTTLSeconds) * time.Second
}

func metadataOf(record store.Client) oauth.ClientMetadata {
	return oauth.ClientMetadata{
		ClientName: record.Name, TokenEndpointAuthMethod: record.AuthMethod, GrantTypes: record.GrantTypes,
		Grants: fromGrants(record.Grants), Roles: record.Roles, ResourceServerFor: record.ResourceServerFor,
		MultipleAudiences: record.MultipleAudiences, TokenTTLSeconds: int64(record.TokenTTL / time.Second),
	}
}

func clientView(record store.Client) Client {
	client := Client{
		ID: record.ID, ClientMetadata: metadataOf(record), Suspended: record.Suspended,
		Created: record.Created, Updated: record.Updated,
	}
	for _, secret := range record.Secrets {
		client.Secrets = append(client.Secrets, SecretInfo{ID: secret.ID, Created: secret.Created, Expires: secret.Expires})
	}
	return client
}

func toGrants(grants []oauth.Grant) []store.Grant {
	var records []store.Grant
	for _, grant := range grants {
		records = append(records, store.Grant(grant))
	}
	return records
}

func fromGrants(records []store.Grant) []oauth.Grant {
	var grants []oauth.Grant
	for _, record := range records {
		grants = append(grants, oauth.Grant(record))
	}
	return grants
}
