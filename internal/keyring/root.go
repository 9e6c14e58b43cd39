package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// RootBytes is the length of a root key.
const RootBytes = 32

// rootPrefix makes a leaked root key recognisable to scanners.
const rootPrefix = "writ_rk_"

// CreateRoot makes a new root key and writes it to a file that must not exist yet (mode 0600, on disk when CreateRoot
// returns). The caller decides that there is nothing yet which an older root key has sealed.
func CreateRoot(path string) ([]byte, error) {
	root := make([]byte, RootBytes)
	rand.Read(root) // never fails (crypto/rand)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("keyring: root key: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keyring: root key: %w", err)
	}
	_, err = file.WriteString(rootPrefix + base64.RawURLEncoding.EncodeToString(root) + "\n")
	if err = errors.Join(err, file.Sync(), file.Close(), syncDirectory(filepath.Dir(path))); err != nil {
		return nil, fmt.Errorf("keyring: root key: %w", err)
	}
	return root, nil
}

// syncDirectory makes the name of a new file survive a crash, as Sync does its content: keys that a lost root key has
// sealed are lost with it.
func syncDirectory(path string) error {
	if runtime.GOOS == "windows" {
		return nil // it knows no fsync of a directory
	}
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

// LoadRoot reads a root key file. A file that others can read is refused: whoever has it and a copy of the database has
// every signing key. Of mode 0440 it is good: so Kubernetes hands a secret to the one group of a pod.
func LoadRoot(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("keyring: root key: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 && info.Mode().Perm() != 0o440 { // Windows has no such modes
		return nil, fmt.Errorf("keyring: root key %s can be read by others (mode %04o): chmod 600 %s", path, info.Mode().Perm(), path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("keyring: root key: %w", err)
	}
	text, found := strings.CutPrefix(strings.TrimSpace(string(data)), rootPrefix)
	root, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !found || err != nil || len(root) != RootBytes {
		return nil, fmt.Errorf("keyring: %s is not a root key file", path)
	}
	return root, nil
}

// An envelope seals private keys under the root key: AES-256-GCM with a key derived for this one purpose, bound to the
// key's ID and algorithm so that sealed keys cannot be swapped in the database.
type envelope struct {
	aead cipher.AEAD
	root []byte
}

func newEnvelope(root []byte) (envelope, error) {
	if len(root) != RootBytes {
		return envelope{}, errors.New("keyring: the root key is not 32 bytes")
	}
	key, err := hkdf.Key(sha256.New, root, nil, "writ signing key v1", 32)
	if err != nil {
		return envelope{}, fmt.Errorf("keyring: root key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return envelope{}, fmt.Errorf("keyring: root key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return envelope{aead, bytes.Clone(root)}, err
}

// derive returns 32 bytes for a purpose that is not the envelope's own, whatever its name.
func (e envelope) derive(purpose string) []byte { return Derive(e.root, purpose) }

// Derive is Ring.Derive for whoever has the root key and no ring.
func Derive(root []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, root, nil, "writ derived key: "+purpose, 32)
	if err != nil {
		panic(err) // only for more bytes than HKDF has
	}
	return key
}

func (e envelope) seal(plain []byte, id, algorithm string) []byte {
	return e.aead.Seal(nil, nil, plain, []byte(algorithm+" "+id))
}

func (e envelope) open(sealed []byte, id, algorithm string) ([]byte, error) {
	return e.aead.Open(nil, nil, sealed, []byte(algorithm+" "+id))
}
