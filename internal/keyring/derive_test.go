package keyring_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store/memstore"
)

func TestDerive(t *testing.T) {
	t.Parallel()
	n, s := newNode(t)
	key := n.Derive("dpop nonce")
	// By HKDF-SHA256 of another implementation. Another value here would be another key on each node of a rolling upgrade.
	if got, want := hex.EncodeToString(key), "97fca539b19a668fb4d34a9c43ce52bf29c664c0f24bf755e9d9fe186121493f"; got != want {
		t.Errorf("Derive = %s, want %s", got, want)
	}
	if other := open(t, s, n.now); !bytes.Equal(other.Derive("dpop nonce"), key) {
		t.Error("a second node derives another key")
	}
	if bytes.Equal(n.Derive("dpop nonces"), key) {
		t.Error("another purpose has the same key")
	}
	envelope, err := hkdf.Key(sha256.New, root, nil, "writ signing key v1", 32)
	must(t, err)
	if bytes.Equal(n.Derive("writ signing key v1"), envelope) || bytes.Equal(n.Derive("signing key v1"), envelope) {
		t.Error("the key that seals signing keys was handed out")
	}
	foreign, err := keyring.Open(t.Context(), memstore.New(), keyring.Options{Root: bytes.Repeat([]byte{8}, keyring.RootBytes)})
	must(t, err)
	if bytes.Equal(foreign.Derive("dpop nonce"), key) {
		t.Error("another root key derives the same key")
	}
}

func TestDeriveAfterTheCallerWipedItsRoot(t *testing.T) {
	t.Parallel()
	mine := bytes.Clone(root)
	ring, err := keyring.Open(t.Context(), memstore.New(), keyring.Options{Root: mine})
	must(t, err)
	before := ring.Derive("a")
	clear(mine)
	if !bytes.Equal(before, ring.Derive("a")) {
		t.Error("the caller's slice decides what is derived")
	}
}
