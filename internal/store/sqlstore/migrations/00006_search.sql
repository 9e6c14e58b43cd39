-- Clients by name, by time, and by what is asked of them in a search: "labels" says it in one number, see search.go. A binary
-- that does not know the column would leave it as it was and hide clients from those who search: it must not serve this
-- schema. The lowest four bits say exactly whether a client is suspended or not, registered itself or not. Of a client from
-- before, all others are set: it may match whatever is asked for, until it is written again.

-- +goose Up
ALTER TABLE clients ADD COLUMN labels BIGINT NOT NULL DEFAULT -6;
UPDATE clients SET labels = -16 + CASE WHEN suspended THEN 1 ELSE 2 END + CASE WHEN registration = '{}' THEN 8 ELSE 4 END;

CREATE INDEX clients_by_id ON clients (id, labels, name);
CREATE INDEX clients_by_name ON clients (name, id, labels);
CREATE INDEX clients_by_created ON clients (created, id, labels, name);
CREATE INDEX clients_by_updated ON clients (updated, id, labels, name);

INSERT INTO writ_schema (version, readable_from) VALUES (6, 6);
