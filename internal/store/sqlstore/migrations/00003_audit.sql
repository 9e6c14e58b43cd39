-- The history of changes is a chain: each event has the hash of itself and all before it. Events from before have none; the
-- first one behind them covers them. What the journals' nodes signed last is kept where those who can cut a file's end
-- do not reach. A binary that does not know the chain would append events outside of it, and nobody could tell them from
-- forged ones: it must not serve this schema.

-- +goose Up
ALTER TABLE events ADD COLUMN hash TEXT NOT NULL DEFAULT '';

CREATE TABLE checkpoints (
	journal TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
	note    TEXT NOT NULL,
	written BIGINT NOT NULL
);

INSERT INTO writ_schema (version, readable_from) VALUES (3, 3);
