-- What keeps a client and its credentials small: ceilings, networks, static claims; and clients that register themselves. A
-- binary that does not know the columns would hand out more than they allow: it must not serve this schema.

-- +goose Up
ALTER TABLE clients ADD COLUMN token_reuse BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN networks TEXT NOT NULL DEFAULT '[]';
ALTER TABLE clients ADD COLUMN claims TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN rotates_secrets BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE clients ADD COLUMN registration TEXT NOT NULL DEFAULT '{}';

CREATE TABLE initial_tokens (
	id           TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
	name         TEXT NOT NULL,
	hash         TEXT NOT NULL,
	grants       TEXT NOT NULL,
	auth_methods TEXT NOT NULL,
	token_ttl    BIGINT NOT NULL,
	networks     TEXT NOT NULL,
	first_use    BIGINT NOT NULL,
	idle         BIGINT NOT NULL,
	max_uses     BIGINT NOT NULL,
	used         BIGINT NOT NULL,
	expires      BIGINT NOT NULL,
	created      BIGINT NOT NULL
);

INSERT INTO writ_schema (version, readable_from) VALUES (5, 5);
