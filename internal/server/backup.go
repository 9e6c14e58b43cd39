package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/writ-auth/writ/internal/store/sqlstore"
)

var (
	// ErrOwnMeans says that a database is backed up by its own means.
	ErrOwnMeans = errors.New("the database is PostgreSQL, which has means of its own for backups")
	// ErrInUse says that another process has the database.
	ErrInUse = sqlstore.ErrInUse
)

// A Backup says what is in a backup. It stands beside the file, in FILE.json.
type Backup struct {
	File       string    `json:"-"`
	Taken      time.Time `json:"taken"` // what was acknowledged before is in it
	Schema     int64     `json:"schema"`
	Generation int64     `json:"generation"`
	Changes    int64     `json:"changes"` // how far the history goes
	SHA256     string    `json:"sha256"`
}

func manifestOf(file string) string { return file + ".json" }

// TakeBackup writes what the configured SQLite database holds into a new file, and what that is into another beside it; also
// while a server has the database. Neither the root key nor the journal is part of it.
func TakeBackup(ctx context.Context, config Config, file string) (Backup, error) {
	options, err := config.storeOptions()
	if err != nil {
		return Backup{}, err
	}
	if !isSQLite(options) {
		return Backup{}, ErrOwnMeans
	}
	made := Backup{File: file, Taken: time.Now().UTC().Truncate(time.Second)}
	if err := sqlstore.Backup(ctx, options, file); err != nil {
		return Backup{}, err
	}
	found, err := sqlstore.Look(ctx, file)
	if err != nil {
		return Backup{}, errors.Join(err, os.Remove(file))
	}
	made.Schema, made.Generation, made.Changes = found.Version, found.Generation, found.Changes
	if made.SHA256, err = sumOf(file); err != nil {
		return Backup{}, errors.Join(err, os.Remove(file))
	}
	return made, made.write()
}

func (b Backup) write() error {
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return fmt.Errorf("server: backup: %w", err)
	}
	// One that is there is of a backup that is not: the file of this one is new.
	if err := os.WriteFile(manifestOf(b.File), append(text, '\n'), 0o600); err != nil {
		return errors.Join(fmt.Errorf("server: backup: %w", err), os.Remove(b.File))
	}
	return nil
}

// readBackup returns what a backup says that it is, if the file is what was written then.
func readBackup(ctx context.Context, file string) (Backup, error) {
	found := Backup{File: file}
	text, err := os.ReadFile(manifestOf(file))
	if err != nil {
		return found, fmt.Errorf("server: restore: what writ backup says of the file must be beside it: %w", err)
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return found, fmt.Errorf("server: restore: %s is not what writ backup wrote", manifestOf(file))
	}
	sum, err := sumOf(file)
	if err != nil {
		return found, err
	}
	if sum != found.SHA256 {
		return found, fmt.Errorf("server: restore: %s is not the file that %s speaks of: one of them was changed, or cut off", file, manifestOf(file))
	}
	held, err := sqlstore.Look(ctx, file)
	if err != nil {
		return found, err
	}
	if held.ReadableFrom > held.Binary {
		return found, fmt.Errorf("server: restore: %w", held.Fits())
	}
	return found, nil
}

func sumOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("server: backup: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("server: backup: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
