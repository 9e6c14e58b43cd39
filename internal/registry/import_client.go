package registry

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/slowhash"
	"github.com/writ-auth/writ/internal/store"
)

// defaultAlgorithm is the one of which every server has a key.
const defaultAlgorithm = jose.ES256

// notIDs are what a client must not be called by: the history says so of who is no client.
var notIDs = []string{"bootstrap", "reset", "restore", "sweep", rehasher}

// validID returns what is wrong with the ID that a client brings, or "".
func validID(id string) string {
	lower := strings.ToLower(id)
	switch {
	case !validName(id):
		return "must be 1 to 64 characters of A-Z a-z 0-9 . _ - and begin with a letter or digit"
	case slices.Contains(notIDs, lower):
		return "is a name that the history has for something else"
	case strings.Contains(lower, "writ_"):
		return "looks like a secret or a token of ours"
	}
	return ""
}

// client registers a client under the ID that it brings, unless it is there already.
func (i *importing) client(ctx context.Context, field string, wanted ImportedClient) error {
	if text := validID(wanted.ID); text != "" {
		i.problems.add(field+".client_id", "%s", text)
		return nil
	}
	record, err := i.record(ctx, wanted)
	if err != nil {
		return i.wrong(field, err)
	}
	have, err := i.Clients().Get(ctx, wanted.ID)
	if err == nil {
		return i.present(ctx, have, record)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if owner, taken := i.taken[record.ID]; taken {
		i.problems.add(field+".client_id", "is what the client %s is called", owner)
		return nil
	}
	item := ImportItem{Kind: "client", ID: record.ID, Outcome: ImportCreated}
	if owner, taken := i.taken[record.Name]; taken {
		item.Note = "is called by its ID, because " + record.Name + " is what the client " + owner + " is called or known by"
		record.Name = record.ID
	}
	item.Name = record.Name
	return i.insert(ctx, field, item, record)
}

func (i *importing) insert(ctx context.Context, field string, item ImportItem, record store.Client) error {
	// Whoever still holds a token or a grant for the former owner of an ID must not meet a stranger under it.
	if err := i.UseOnce(ctx, usedID(record.ID), noEnd); errors.Is(err, store.ErrExists) {
		i.problems.add(field+".client_id", "was the ID of a client that is deleted; an ID is never given out again")
		return nil
	} else if err != nil {
		return err
	}
	event, err := i.registry.insertClient(ctx, i.transaction, record)
	if err != nil {
		return i.wrong(field, err)
	}
	i.taken[record.Name], i.taken[record.ID] = record.ID, record.ID
	if usesSecrets(record.AuthMethod) && len(record.Secrets) == 0 {
		item.Note = strings.TrimPrefix(item.Note+"; needs a new secret", "; ")
	}
	event.Action = "client.imported"
	return i.done(ctx, item, event)
}

// present says how a client that is there already compares. Its secrets, which may have changed here since, are not looked at.
func (i *importing) present(ctx context.Context, have, wanted store.Client) error {
	item := ImportItem{Kind: "client", ID: have.ID, Name: have.Name, Outcome: ImportUnchanged}
	if have.Name == have.ID {
		wanted.Name = have.Name // the name was taken when it was imported
	}
	differs := differences(settingsOf(have), settingsOf(wanted))
	if have.Suspended != wanted.Suspended {
		differs = strings.TrimPrefix(differs+", suspended", ", ")
	}
	if differs != "" {
		item.Outcome, item.Note = ImportKept, "differs in "+differs
	}
	return i.done(ctx, item, store.Event{})
}

// record returns the client as it is to be kept.
func (i *importing) record(ctx context.Context, wanted ImportedClient) (store.Client, error) {
	metadata := withDefaults(wanted.ClientMetadata)
	record := store.Client{ID: wanted.ID, AuthMethod: metadata.TokenEndpointAuthMethod, Suspended: wanted.Suspended, Created: i.now, Updated: i.now}
	var p problems
	p.authentication(&record, metadata, i.now)
	p.importSecret(&record, wanted)
	if err := i.registry.checkClient(ctx, i, metadata, p); err != nil {
		return record, err
	}
	describe(&record, metadata)
	return record, nil
}

// importSecret takes over the hash of a secret.
func (p *problems) importSecret(record *store.Client, wanted ImportedClient) {
	if wanted.SecretHash == "" {
		return
	}
	if !usesSecrets(record.AuthMethod) {
		p.add("client_secret_hash", "belongs to a method with secrets, and the method is %s", record.AuthMethod)
		return
	}
	kept := wanted.SecretHash
	if !fastHash(kept) {
		hash, err := slowhash.Parse(kept)
		if err != nil {
			p.add("client_secret_hash", "%v", err)
			return
		}
		kept = hash.String()
	}
	expires := wanted.SecretExpires.UTC().Truncate(precision)
	record.Secrets = []store.Secret{{ID: newSecretID(), Hash: kept, Created: record.Created, Expires: expires}}
}

// fastHash reports whether a hash is one of store.HashSecret.
func fastHash(text string) bool {
	return len(text) == len(store.HashSecret("")) && strings.HasPrefix(text, "sha256:")
}

// differences names the members in which two descriptions differ.
func differences(a, b any) string {
	members := func(of any) map[string]jsontext.Value {
		found := map[string]jsontext.Value{}
		_ = json.Unmarshal([]byte(detail(of)), &found) // of JSON that was just written
		return found
	}
	left, right := members(a), members(b)
	names := map[string]bool{}
	for name, value := range left {
		if !bytes.Equal(value, right[name]) {
			names[name] = true
		}
	}
	for name := range right {
		if _, both := left[name]; !both {
			names[name] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}
