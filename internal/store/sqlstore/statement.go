package sqlstore

import (
	"context"
	"database/sql"
	"errors"
)

// sqlText is the text of a statement. Nothing but constants may become one, and nothing but a sqlText may reach a
// database: TestST15 holds the package to that, so that no value from outside can ever be part of a statement.
//
// Placeholders are $1, $2, …, as PostgreSQL has them. For SQLite these are names, which it numbers as it meets them, so
// in every statement they must appear for the first time in their order.
type sqlText string

// join is strings.Join.
func join(parts []sqlText, separator sqlText) (joined sqlText) {
	for i, part := range parts {
		if i > 0 {
			joined += separator
		}
		joined += part
	}
	return joined
}

// placeholders returns $1 to $n.
func placeholders(n int) []sqlText {
	all := []sqlText{"$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$16",
		"$17", "$18", "$19", "$20", "$21", "$22", "$23", "$24", "$25", "$26", "$27", "$28", "$29", "$30", "$31", "$32"}
	return all[:n]
}

const (
	readCounter = `SELECT value FROM counters WHERE name = $1`
	growCounter = `UPDATE counters SET value = value + 1 WHERE name = $1`

	appendEvent = `INSERT INTO events (sequence, time, actor, action, object, detail, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)`
	readEvents  = `SELECT sequence, time, actor, action, object, detail, hash FROM events
		WHERE sequence > $1 ORDER BY sequence LIMIT $2`
	readLastEvent = `SELECT sequence, hash FROM events ORDER BY sequence DESC LIMIT 1`

	// What never expires, 0, stands first in the index, and there may be very many of it: the imported IDs of clients.
	sweepRevocations = `DELETE FROM revocations WHERE token_id IN
		(SELECT token_id FROM revocations WHERE expires > 0 AND expires < $1 LIMIT $2)`
	sweepUsed = `DELETE FROM used_ids WHERE id IN
		(SELECT id FROM used_ids WHERE expires > 0 AND expires < $1 LIMIT $2)`

	// Of so many uses at most, the last one and how many they are.
	readUsesStep = `SELECT client_id, credential, count(*) OVER () FROM
		(SELECT client_id, credential FROM uses WHERE (client_id, credential) > ($1, $2) ORDER BY client_id, credential LIMIT $3) AS step
		ORDER BY client_id DESC, credential DESC LIMIT 1`
	// It counts the one client: asked whether it does NOT EXIST, PostgreSQL reads all clients at each step.
	sweepUses = `DELETE FROM uses WHERE (client_id, credential) > ($1, $2) AND (client_id, credential) <= ($3, $4)
		AND (last < $5 OR (SELECT count(*) FROM clients WHERE clients.id = uses.client_id) = 0)`

	readSchema = `SELECT coalesce(max(version), 0), coalesce(max(readable_from), 0) FROM writ_schema`
)

// statements are those that run within a Store's life: reads of any connection, and writes.
func (d *database) statements() (reads, writes []sqlText) {
	d.searches = searches(d.dialect)
	reads = []sqlText{readCounter, readEvents, readLastEvent, readClientByName, readDue, d.clientsCalled(), d.readUses(), readUsesStep}
	for _, text := range d.searches {
		reads = append(reads, text)
	}
	writes = []sqlText{d.useOnce(), growCounter, appendEvent, d.noteUses(), sweepRevocations, sweepUsed, sweepUses}
	for _, t := range []statementsOf{clients.statements, resources.statements, roles.statements,
		signingKeys.statements, revocations.statements, checkpoints.statements, initialTokens.statements} {
		reads = append(reads, t.get, t.exists, t.list)
		writes = append(writes, t.insert, t.put, t.delete)
	}
	for _, text := range []sqlText{d.takeTurn, d.notify} {
		if text != "" {
			writes = append(writes, text)
		}
	}
	return reads, append(writes, reads...)
}

// pool is a pool of connections with statements that were prepared when it was opened, so that a schema that does not
// fit is found at the start and not by a request.
type pool struct {
	db       *sql.DB
	prepared map[sqlText]*sql.Stmt // only read after prepare
}

func (p *pool) prepare(ctx context.Context, texts []sqlText) error {
	p.prepared = make(map[sqlText]*sql.Stmt, len(texts))
	for _, text := range texts {
		if err := p.prepareOne(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

func (p *pool) prepareOne(ctx context.Context, text sqlText) (err error) {
	p.prepared[text], err = p.db.PrepareContext(ctx, string(text))
	return err
}

// statement returns the prepared statement, bound to the transaction if there is one.
func (p *pool) statement(ctx context.Context, tx *sql.Tx, text sqlText) (*sql.Stmt, error) {
	statement, ok := p.prepared[text]
	if !ok {
		return nil, errors.New("statement was not prepared")
	}
	if tx == nil {
		return statement, nil
	}
	return tx.StmtContext(ctx, statement), nil
}

func (p *pool) close() error { return p.db.Close() }
