-- When something of a client ends next, in microseconds since 1970: who looks for what has ended, or soon will, does not go through
-- all clients (store.Client.Due). 9223372036854775807 stands for never, 0 for what is to be looked at at any time: a client with a hash
-- of somebody else's, and one from before of which more than what follows would have to be known, until it is written again. In JSON
-- text no value can look like a member: its quotes would be escaped. A binary that does not know the column would leave it as it
-- was, and hide what ends from those who look: it must not serve this schema.

-- +goose Up
ALTER TABLE clients ADD COLUMN due BIGINT NOT NULL DEFAULT 9223372036854775807;
UPDATE clients SET due = 0
	WHERE former_method <> '' OR registration <> '{}'
	OR replace(secrets, '"expires":0', '') LIKE '%"expires":%' OR replace(keys, '"expires":0', '') LIKE '%"expires":%'
	OR replace(secrets, '"hash":"sha256:', '') LIKE '%"hash":"%';

CREATE INDEX clients_by_due ON clients (due, id) WHERE due < 9223372036854775807;

INSERT INTO writ_schema (version, readable_from) VALUES (8, 8);
