-- Keys, certificates and DPoP instead of shared secrets, and what was used last. A binary that does not know the columns
-- would hand out unbound tokens to clients that may only have bound ones: it must not serve this schema.

-- +goose Up
ALTER TABLE clients ADD COLUMN former_method TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN former_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN keys TEXT NOT NULL DEFAULT '[]';
ALTER TABLE clients ADD COLUMN jwks_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN signing_algorithm TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN certificate_rule TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN certificate_value TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN certificate_bound BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE clients ADD COLUMN dpop_bound BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TABLE uses (
	client_id  TEXT COLLATE BINARY NOT NULL,
	credential TEXT COLLATE BINARY NOT NULL,
	last       BIGINT NOT NULL,
	remote     TEXT NOT NULL,
	PRIMARY KEY (client_id, credential)
);

INSERT INTO writ_schema (version, readable_from) VALUES (2, 2);
