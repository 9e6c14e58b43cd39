-- When the tokens of a resource begin to count. A binary that does not know the column would call tokens active that were
-- revoked: it must not serve this schema.

-- +goose Up
ALTER TABLE resources ADD COLUMN not_before BIGINT NOT NULL DEFAULT 0;

INSERT INTO writ_schema (version, readable_from) VALUES (4, 4);
