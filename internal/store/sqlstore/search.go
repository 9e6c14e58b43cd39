package sqlstore

import (
	"context"
	"database/sql/driver"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/writ-auth/writ/internal/store"
)

// labels is a Bloom filter over what clients are searched by, as a column that no record has: a search looks only at the
// clients whose labels have all bits of the wanted ones. It is in every index that a search walks along, so that the client
// itself, which is large, is read only where the filter says yes.
type labels struct{ of *store.Client }

func (f labels) Value() (driver.Value, error) { return labelsOf(*f.of), nil }
func (f labels) Scan(any) error               { return nil }

// The lowest bits say exactly what they say.
const (
	labelSuspended int64 = 1 << iota
	labelResumed
	labelSelfRegistered
	labelCreated
	firstHashed = 4 // the first of the bits that several labels share
)

func labelsOf(c store.Client) int64 {
	found := choose(c.Suspended, labelSuspended, labelResumed) |
		choose(c.SelfRegistered(), labelSelfRegistered, labelCreated) | hashed("method", c.AuthMethod)
	for _, grant := range c.Grants {
		found |= hashed("resource", grant.Resource)
	}
	for _, role := range c.Roles {
		found |= hashed("role", role)
	}
	return found
}

// labelsWanted returns the labels that every client has that the query wants.
func labelsWanted(q store.ClientQuery) (wanted int64) {
	if q.Suspended != store.Either {
		wanted |= choose(q.Suspended == store.Yes, labelSuspended, labelResumed)
	}
	if q.SelfRegistered != store.Either {
		wanted |= choose(q.SelfRegistered == store.Yes, labelSelfRegistered, labelCreated)
	}
	for kind, value := range map[string]string{"method": q.AuthMethod, "resource": q.Resource, "role": q.Role} {
		if value != "" {
			wanted |= hashed(kind, value)
		}
	}
	return wanted
}

func choose(which bool, yes, no int64) int64 {
	if which {
		return yes
	}
	return no
}

// hashed returns the bits of a label. They are in the database: another function needs a migration.
func hashed(kind, value string) (bits int64) {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(kind + "\x00" + value)) // never fails
	sum := hash.Sum64()
	for range 3 {
		bits |= 1 << (firstHashed + sum%(63-firstHashed))
		sum /= 63 - firstHashed
	}
	return bits
}

// A search is one way to look for clients.
type search struct {
	order      store.ClientOrder
	descending bool
	goesOn     bool // behind a position
}

// searches are all ways, with their statements. They need no value to be part of the text.
func searches(d dialect) map[search]sqlText {
	texts := map[search]sqlText{}
	for _, order := range []store.ClientOrder{store.ByID, store.ByName, store.ByCreated, store.ByUpdated} {
		for _, descending := range []bool{false, true} {
			for _, goesOn := range []bool{false, true} {
				s := search{order, descending, goesOn}
				texts[s] = s.text(d)
			}
		}
	}
	return texts
}

// text returns the statement. Within it, the IDs of a page are found along an index that holds all that is looked at; what only
// the whole client tells is asked last, of those whom the labels let pass.
func (s search) text(d dialect) sqlText {
	var direction, behind sqlText = " ASC", " > "
	if s.descending {
		direction, behind = " DESC", " < "
	}
	var by, place, values, limit sqlText = "id" + direction, "found.id", "$7", "$8"
	if s.order != store.ByID {
		column := []sqlText{store.ByName: "name", store.ByCreated: "created", store.ByUpdated: "updated"}[s.order]
		by, place, values, limit = column+direction+", "+by, "(found."+column+", found.id)", "($7, $8)", "$9"
	}
	var from sqlText
	if s.goesOn {
		from = " AND " + place + behind + values
	} else {
		limit = "$7"
	}
	return "SELECT " + join(clientColumns, ", ") + ` FROM clients WHERE id IN (SELECT id FROM clients AS found
		WHERE ((found.labels & $1) = $1 OR $1 = 0)
		AND ($2 = '' OR ` + d.lowerName + ` LIKE $2 ESCAPE '\' OR ` + d.lowerID + ` LIKE $2 ESCAPE '\')
		AND ($3 = '' AND $4 = '' AND $5 = '' OR EXISTS (SELECT 1 FROM clients AS whole WHERE whole.id = found.id
			AND ($3 = '' OR whole.auth_method = $3)
			AND ($4 = '' OR ` + d.grantsHold + ` AND EXISTS (SELECT 1 FROM ` + d.grantsOf + ` AS held WHERE held.value ->> 'resource' = $4))
			AND ($5 = '' OR EXISTS (SELECT 1 FROM ` + d.rolesOf + ` AS held WHERE held.value = $5))))` +
		from + " ORDER BY " + by + " LIMIT " + limit + ") ORDER BY " + by
}

// readClientByName needs no other condition in the database: it finds one client at most.
var readClientByName = "SELECT " + join(clientColumns, ", ") + " FROM clients WHERE name = $1"

func (v view) FindClients(ctx context.Context, q store.ClientQuery) ([]store.Client, error) {
	if !store.Valid(q) {
		return nil, store.ErrInvalid
	}
	text, args := readClientByName, []any{q.Name}
	if q.Name == "" {
		text, args = v.store.database.search(q)
	}
	found, err := table[store.Client]{v, &clients}.read(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: find clients: %w", err)
	}
	if q.Name != "" {
		found = slices.DeleteFunc(found, func(c store.Client) bool { return q.Limit <= 0 || !q.Matches(c) })
	}
	return found, nil
}

// clientsCalled has words as a list: IDs, or names.
func (d dialect) clientsCalled() sqlText {
	return "SELECT " + join(clientColumns, ", ") + " FROM clients WHERE id IN (SELECT value FROM " + d.listed +
		" UNION SELECT id FROM clients WHERE name IN (SELECT value FROM " + d.listed + ")) ORDER BY id"
}

func (v view) ClientsCalled(ctx context.Context, words ...string) ([]store.Client, error) {
	words = slices.DeleteFunc(slices.Clone(words), func(word string) bool { return !store.Valid(word) }) // nobody's
	found, err := table[store.Client]{v, &clients}.read(ctx, v.store.database.clientsCalled(), texts(&words))
	if err != nil {
		return nil, fmt.Errorf("sqlstore: clients called: %w", err)
	}
	return found, nil
}

// search returns the statement of a query, and its arguments.
func (d *database) search(q store.ClientQuery) (sqlText, []any) {
	args := []any{labelsWanted(q), pattern(q.Text), q.AuthMethod, q.Resource, q.Role, asInJSON(q.Resource)}
	if q.After.ID != "" {
		switch q.Order {
		case store.ByName:
			args = append(args, q.After.Name)
		case store.ByCreated, store.ByUpdated:
			args = append(args, microseconds(q.After.Time))
		}
		args = append(args, q.After.ID)
	}
	return d.searches[search{q.Order, q.Descending, q.After.ID != ""}], append(args, max(q.Limit, 0))
}

// asInJSON returns a text that every JSON has which has this one, "" if that may be written in several ways. To look for it is
// much less than to read the JSON, which has to be done for the few who have it.
func asInJSON(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r) }) {
		return ""
	}
	return text
}

// pattern returns what LIKE finds a part of a text with, "" for no part.
func pattern(part string) string {
	if part == "" {
		return ""
	}
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(store.LowerASCII(part)) + "%"
}
