-- What used a credential last, by its own account. A binary that does not know the column leaves it as it was, which is wrong
-- about one use and harms nobody.

-- +goose Up
ALTER TABLE uses ADD COLUMN agent TEXT NOT NULL DEFAULT '';

INSERT INTO writ_schema (version, readable_from) VALUES (7, 6);
