package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writ-auth/writ/internal/store"
)

const (
	postgresNotify = `NOTIFY writ_changed`
	postgresListen = `LISTEN writ_changed`

	// listenProbe is how long nothing is heard before the connection is asked whether it is still there: one that was cut
	// without a word would be silent for ever.
	listenProbe = 30 * time.Second
)

// Watch hears of the changes by other nodes, too, where the database can tell of them.
func (v view) Watch(ctx context.Context, changed func()) error {
	if v.store.database.listen == nil {
		return v.store.bell.Watch(ctx, changed)
	}
	err := v.store.database.listen(ctx, changed)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, store.ErrUnsupported):
		return err
	}
	return fmt.Errorf("sqlstore: watch: %w", describe(err))
}

// triesNotify finds out whether the engine can notify. One that cannot would fail every change; its nodes poll.
func (d *database) triesNotify(ctx context.Context) error {
	if d.notify == "" {
		return nil
	}
	_, err := d.writes.db.ExecContext(ctx, postgresNotify)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && unknownStatement(refused.SQLState()) {
		d.withoutNotify()
		return nil
	}
	return describe(err)
}

func (d *database) withoutNotify() {
	d.notify = ""
	d.listen = func(context.Context, func()) error { return store.ErrUnsupported }
}

// unknownStatement reports whether the code says that there is no such statement: "feature not supported", or a syntax error.
func unknownStatement(code string) bool { return strings.HasPrefix(code, "0A") || code == "42601" }

// listenTo returns a function that listens on a connection of its own, for as long as that lasts.
func listenTo(config *pgx.ConnConfig) func(context.Context, func()) error {
	return func(ctx context.Context, changed func()) error {
		connection, err := pgx.ConnectConfig(ctx, config.Copy())
		if err != nil {
			return err
		}
		defer func() {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = connection.Close(closing) // says goodbye, if it can
		}()
		if _, err := connection.Exec(ctx, postgresListen); err != nil {
			return err
		}
		changed() // what happened before was not heard
		for {
			if err := hear(ctx, connection); err != nil {
				return err
			}
			changed()
		}
	}
}

// hear waits for a notification.
func hear(ctx context.Context, connection *pgx.Conn) error {
	for {
		waiting, cancel := context.WithTimeout(ctx, listenProbe)
		_, err := connection.WaitForNotification(waiting)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		probing, cancel := context.WithTimeout(ctx, operationTimeout)
		err = connection.Ping(probing)
		cancel()
		if err != nil {
			return err
		}
	}
}
