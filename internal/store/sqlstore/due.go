package sqlstore

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// never is the due of a client of which nothing ends. The index is without them.
const never = math.MaxInt64

// due is when a client is due (store.Client.Due), as a column that no record has.
type due struct{ of *store.Client }

func (f due) Value() (driver.Value, error) {
	at, ever := f.of.Due()
	if !ever {
		return int64(never), nil
	}
	return microseconds(at), nil
}

func (f due) Scan(any) error { return nil }

// readDue asks for the column by another name: what a client from before has there is not what follows from it.
var readDue = "SELECT " + join(clientColumns, ", ") + ", due AS at FROM clients" +
	" WHERE due < 9223372036854775807 AND due <= $1 AND (due, id) > ($2, $3) ORDER BY due, id LIMIT $4"

func (v view) ClientsDue(ctx context.Context, by time.Time, after store.DuePosition, limit int) (found []store.Client, last store.DuePosition, err error) {
	if !store.Valid(after.ID) {
		return nil, after, store.ErrInvalid
	}
	last = after
	args := []any{microseconds(by), microseconds(after.At), after.ID, max(limit, 0)}
	err = v.query(ctx, readDue, args, func(scan func(...any) error) error {
		var client store.Client
		err := scan(append(clients.targets(&client), instant{&last.At})...)
		found, last.ID = append(found, client), client.ID
		return err
	})
	if err != nil {
		return nil, after, fmt.Errorf("sqlstore: clients due: %w", err)
	}
	return found, last, nil
}
