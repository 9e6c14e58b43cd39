package client

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A secretFile is a file with a secret that is replaced while others read it.
type secretFile struct{ path string }

// A rotationState is what must be known of a rotation after a crash. It belongs to one secret, and says nothing about a file
// that holds another by now.
type rotationState struct {
	Secret    string `json:"secret"`               // SHA-256 of the secret that is in the file
	Request   string `json:"request_id,omitempty"` // of the rotation that is under way
	Successor string `json:"successor,omitempty"`  // when the issuer has answered
	Expires   int64  `json:"expires,omitempty"`    // when the secret does, or the successor; 0: never, or not known
}

func (s rotationState) expires() time.Time {
	if s.Expires == 0 || s.Successor != "" {
		return time.Time{}
	}
	return time.Unix(s.Expires, 0)
}

// read returns the secret and when it was written.
func (f secretFile) read() (string, time.Time, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("secret file: %w", err)
	}
	text, err := readSecret(f.path)
	return text, info.ModTime(), err
}

// best returns the secret to use: the one in the file, or the successor that a crash has kept from getting there. By then the
// one in the file may have ended.
func (f secretFile) best() (string, error) {
	current, _, err := f.read()
	if err != nil {
		return "", err
	}
	if state, err := f.state(current); err == nil && state.Successor != "" {
		return state.Successor, nil
	}
	return current, nil
}

func (f secretFile) statePath() string { return f.path + ".rotation" }

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// state returns what is known of the rotation of a secret.
func (f secretFile) state(current string) (rotationState, error) {
	fresh := rotationState{Secret: digest(current)}
	data, err := os.ReadFile(f.statePath())
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return fresh, fmt.Errorf("rotation: %w", err)
	}
	var kept rotationState
	if err := json.Unmarshal(data, &kept); err != nil || kept.Secret != fresh.Secret {
		return fresh, nil // of another secret; it is written whole or not at all
	}
	return kept, nil
}

// begin returns the state of a rotation that is under way, with the ID of its request: of one that another began, its.
func (f secretFile) begin(current string) (rotationState, error) {
	state, err := f.state(current)
	if err != nil || state.Request != "" {
		return state, err
	}
	mine := rotationState{Secret: state.Secret, Request: rand.Text()}
	if err := f.keep(mine); err != nil {
		return mine, err
	}
	state, err = f.state(current)
	if err != nil || state.Request == "" { // another has ended its rotation already
		return mine, err
	}
	return state, nil // who began at the same moment goes on with the same
}

// keep writes the state.
func (f secretFile) keep(state rotationState) error {
	data, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("rotation: %w", err)
	}
	return replaceFile(f.statePath(), append(data, '\n'), 0o600, nil)
}

// replace puts the successor into the file, if the file still holds the secret that it succeeds.
func (f secretFile) replace(current string, state rotationState) error {
	path, err := filepath.EvalSymlinks(f.path) // the file, not the link to it
	if err != nil {
		return fmt.Errorf("secret file: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("secret file: %w", err)
	}
	if now, _, err := f.read(); err != nil || now != current {
		return err // somebody has put another one there
	}
	if err := replaceFile(path, []byte(state.Successor+"\n"), info.Mode().Perm()&0o640|0o600, info); err != nil {
		return err
	}
	return f.keep(rotationState{Secret: digest(state.Successor), Expires: state.Expires})
}

// replaceFile puts data into the place of a file, whole and for good: it is on the disk before it has the name, and the name
// before replaceFile returns. It belongs to the owner of the file before, if there was one.
func replaceFile(path string, data []byte, mode fs.FileMode, before fs.FileInfo) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("secret file: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // it has another name when all went well
	_, err = file.Write(data)
	err = errors.Join(err, sameOwner(file, before), file.Chmod(mode), file.Sync(), file.Close())
	if now := time.Now(); err == nil {
		err = os.Chtimes(file.Name(), now, now) // by the clock that its age is told by
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err == nil {
		err = syncDirectory(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("secret file: %w", err)
	}
	return nil
}
