package registry

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/writ-auth/writ/admin/wire"
	"github.com/writ-auth/writ/internal/store"
)

// maxSearch bounds the text that is looked for, in bytes.
const maxSearch = 128

// Clients returns up to limit of the clients that pass the filter, in its order, behind the place that after names, which is what
// the call before returned to go on with: "" is the beginning, and the end.
func (r *Registry) Clients(ctx context.Context, actor Actor, filter ClientFilter, after string, limit int) ([]Client, string, error) {
	if err := r.read(ctx, actor, ClientsRead); err != nil {
		return nil, "", err
	}
	limit, err := checkLimit(limit)
	if err != nil {
		return nil, "", err
	}
	query, err := clientQuery(filter, after)
	if err != nil {
		return nil, "", err
	}
	if !filter.UnusedSince.IsZero() {
		clients, next, err := r.unusedClients(ctx, query, filter.UnusedSince, limit)
		return clients, next, wrap(err)
	}
	query.Limit = limit + 1
	records, err := r.store.FindClients(ctx, query)
	if err != nil {
		return nil, "", wrap(err)
	}
	next := ""
	if len(records) > limit {
		records = records[:limit]
		next = placeOf(query.Position(records[limit-1]))
	}
	clients, err := r.views(ctx, r.store, records)
	return clients, next, wrap(err)
}

// maxScanned bounds how many clients are looked at for one page of those that nobody uses. The last use of a client is no
// column that could be asked for: it is the newest of many rows, which are written all the time.
const maxScanned = 5000

// unusedClients returns a page of the clients that the query finds and that nobody has used since a moment. It may be short,
// or empty, and say where to go on.
func (r *Registry) unusedClients(ctx context.Context, query store.ClientQuery, since time.Time, limit int) ([]Client, string, error) {
	found := make([]Client, 0, limit)
	query.Limit = MaxLimit
	for scanned := 0; scanned < maxScanned; scanned += query.Limit {
		records, err := r.store.FindClients(ctx, query)
		if err != nil {
			return nil, "", err
		}
		clients, err := r.views(ctx, r.store, records)
		if err != nil {
			return nil, "", err
		}
		for i, client := range clients {
			query.After = query.Position(records[i])
			if client.LastUsed.Before(since) && client.Created.Before(since) {
				found = append(found, client)
			}
			if len(found) == limit {
				return found, placeOf(query.After), nil
			}
		}
		if len(records) < query.Limit {
			return found, "", nil
		}
	}
	return found, placeOf(query.After), nil
}

// clientOrders are what clients can be sorted by.
var clientOrders = map[string]store.ClientOrder{"": store.ByID, "id": store.ByID, "name": store.ByName, "created": store.ByCreated, "updated": store.ByUpdated}

var choices = map[wire.Choice]store.Choice{"": store.Either, wire.Yes: store.Yes, wire.No: store.No}

func clientQuery(filter ClientFilter, after string) (store.ClientQuery, error) {
	by, descending := strings.CutPrefix(filter.Sort, "-")
	query := store.ClientQuery{
		Text: filter.Search, AuthMethod: filter.AuthMethod, Resource: filter.Resource, Role: filter.Role, Descending: descending,
	}
	var p problems
	known := func(field string, ok bool) {
		if !ok {
			p.add(field, "is not one that there is")
		}
	}
	var ok bool
	query.Order, ok = clientOrders[by]
	known("sort", ok && filter.Sort != "-")
	query.Suspended, ok = choices[filter.Suspended]
	known("suspended", ok)
	query.SelfRegistered, ok = choices[filter.SelfRegistered]
	known("self_registered", ok)
	query.After, ok = readPlace(after, query.Order)
	known("cursor", ok)
	for field, text := range map[string]string{"search": filter.Search, "auth_method": filter.AuthMethod, "resource": filter.Resource, "role": filter.Role} {
		if len(text) > maxURI || field == "search" && len(text) > maxSearch || !store.Valid(text) {
			p.add(field, "is too long, or has what no client has")
		}
	}
	return query, invalid(p...)
}

// placeOf writes a place in a list: what it is sorted by, and the ID.
func placeOf(at store.ClientPosition) string {
	switch {
	case at.Name != "":
		return at.Name + "/" + at.ID
	case !at.Time.IsZero():
		return strconv.FormatInt(at.Time.UnixMicro(), 10) + "/" + at.ID
	}
	return at.ID
}

// readPlace reads what placeOf wrote.
func readPlace(text string, order store.ClientOrder) (at store.ClientPosition, ok bool) {
	if text == "" {
		return at, true
	}
	key, id, found := strings.Cut(text, "/")
	if !found {
		key, id = "", key
	}
	at.ID = id
	switch order {
	case store.ByName:
		at.Name = key
		return at, validName(id) && validName(key)
	case store.ByCreated, store.ByUpdated:
		micros, err := strconv.ParseInt(key, 10, 64)
		at.Time = time.UnixMicro(micros).UTC()
		return at, validName(id) && err == nil
	}
	return at, validName(id) && !found
}

// CursorKey returns what the cursors of lists are signed with: a key of the server, the same on every node.
func (r *Registry) CursorKey() []byte { return r.ring.Derive("cursors of lists") }
