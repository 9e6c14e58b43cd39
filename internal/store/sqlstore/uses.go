package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/writ-auth/writ/internal/store"
)

// A noted use is one as the statement wants it.
type noted struct {
	ClientID   string `json:"client_id"`
	Credential string `json:"credential"`
	Last       int64  `json:"last"`
	Remote     string `json:"remote"`
	Agent      string `json:"agent"`
}

func (v view) NoteUses(ctx context.Context, uses []store.Use) error {
	var all []noted
	for _, use := range uses {
		if use.ClientID == "" || use.Credential == "" || !store.Valid(use) {
			return fmt.Errorf("sqlstore: note uses: %w", store.ErrInvalid)
		}
		all = append(all, noted{use.ClientID, use.Credential, microseconds(use.Last), use.Remote, use.Agent})
	}
	if len(all) == 0 {
		return nil
	}
	list, err := json.Marshal(latest(all))
	if err == nil {
		err = v.change(ctx, func(tx view) error {
			_, err := tx.exec(ctx, v.store.database.noteUses(), string(list))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("sqlstore: note uses: %w", err)
	}
	return nil
}

// latest leaves the latest use of each credential, of several at the same moment the first: one statement may not write a row
// twice. They are in the order of the index, in which they are found faster.
func latest(uses []noted) []noted {
	slices.SortStableFunc(uses, func(a, b noted) int {
		return cmp.Or(cmp.Compare(a.ClientID, b.ClientID), cmp.Compare(a.Credential, b.Credential), cmp.Compare(b.Last, a.Last))
	})
	return slices.CompactFunc(uses, func(a, b noted) bool { return a.ClientID == b.ClientID && a.Credential == b.Credential })
}

// noteUses has a list of uses, each of another credential. The condition keeps SQLite from taking ON for a part of a join.
func (d dialect) noteUses() sqlText {
	return `INSERT INTO uses (client_id, credential, last, remote, agent)
		SELECT value ->> 'client_id', value ->> 'credential', CAST(value ->> 'last' AS BIGINT), value ->> 'remote', value ->> 'agent'
		FROM ` + d.elements + ` WHERE TRUE
		ON CONFLICT (client_id, credential) DO UPDATE SET last = excluded.last, remote = excluded.remote, agent = excluded.agent
		WHERE uses.last < excluded.last`
}

func (v view) Uses(ctx context.Context, clientIDs ...string) (uses []store.Use, err error) {
	clientIDs = slices.DeleteFunc(slices.Clone(clientIDs), func(id string) bool { return !store.Valid(id) }) // nobody's
	err = v.query(ctx, v.store.database.readUses(), []any{texts(&clientIDs)}, func(scan func(...any) error) error {
		var use store.Use
		err := scan(text{&use.ClientID}, text{&use.Credential}, instant{&use.Last}, text{&use.Remote}, text{&use.Agent})
		uses = append(uses, use)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sqlstore: uses: %w", err)
	}
	return uses, nil
}

// readUses has the IDs of the clients as a list.
func (d dialect) readUses() sqlText {
	return "SELECT client_id, credential, last, remote, agent FROM uses WHERE client_id IN (SELECT value FROM " + d.listed + ") ORDER BY client_id, credential"
}
