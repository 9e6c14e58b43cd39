-- The text serves both databases: COLLATE BINARY, which orders by bytes, becomes COLLATE "C" on PostgreSQL.
-- Times are microseconds since 1970, 0 for none; lists are JSON; bytes are base64.

-- +goose Up
CREATE TABLE clients (
	id                  TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
	name                TEXT COLLATE BINARY NOT NULL UNIQUE,
	auth_method         TEXT NOT NULL,
	grant_types         TEXT NOT NULL,
	secrets             TEXT NOT NULL,
	grants              TEXT NOT NULL,
	roles               TEXT NOT NULL,
	resource_server_for TEXT NOT NULL,
	multiple_audiences  BOOLEAN NOT NULL,
	token_ttl           BIGINT NOT NULL,
	suspended           BOOLEAN NOT NULL,
	not_before          BIGINT NOT NULL,
	created             BIGINT NOT NULL,
	updated             BIGINT NOT NULL
);

CREATE TABLE resources (
	uri                TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
	name               TEXT NOT NULL,
	scopes             TEXT NOT NULL,
	format             TEXT NOT NULL,
	algorithm          TEXT NOT NULL,
	token_ttl          BIGINT NOT NULL,
	multiple_audiences BOOLEAN NOT NULL,
	created            BIGINT NOT NULL,
	updated            BIGINT NOT NULL
);

CREATE TABLE roles (
	name        TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
	description TEXT NOT NULL,
	grants      TEXT NOT NULL,
	created     BIGINT NOT NULL,
	updated     BIGINT NOT NULL
);

CREATE TABLE signing_keys (
	id         TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
	algorithm  TEXT NOT NULL,
	public_key TEXT NOT NULL,
	sealed_key TEXT NOT NULL,
	created    BIGINT NOT NULL,
	sign_from  BIGINT NOT NULL,
	sign_until BIGINT NOT NULL,
	drop_at    BIGINT NOT NULL,
	revoked    BIGINT NOT NULL
);

CREATE TABLE revocations (
	token_id TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
	expires  BIGINT NOT NULL
);
CREATE INDEX revocations_expires ON revocations (expires);

CREATE TABLE used_ids (
	id      TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
	expires BIGINT NOT NULL
);
CREATE INDEX used_ids_expires ON used_ids (expires);

CREATE TABLE events (
	sequence BIGINT NOT NULL PRIMARY KEY,
	time     BIGINT NOT NULL,
	actor    TEXT NOT NULL,
	action   TEXT NOT NULL,
	object   TEXT NOT NULL,
	detail   TEXT NOT NULL
);

-- What grows: the generation, and the sequence of events. On PostgreSQL its lock also makes writers take turns.
CREATE TABLE counters (
	name  TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
	value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('generation', 0), ('event', 0);

-- Every migration adds its row: a binary that knows migrations up to N serves this schema if readable_from is at most N.
CREATE TABLE writ_schema (
	version       BIGINT NOT NULL PRIMARY KEY,
	readable_from BIGINT NOT NULL
);
INSERT INTO writ_schema (version, readable_from) VALUES (1, 1);
