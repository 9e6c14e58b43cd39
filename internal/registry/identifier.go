package registry

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"strings"
)

const redacted = "REDACTED"

// A PrivateKey is the private half of the operator's key, as a JWK. It prints REDACTED wherever it is formatted, logged or
// marshalled; only Reveal has the JWK.
type PrivateKey string

// Reveal returns the JWK itself.
func (k PrivateKey) Reveal() string { return string(k) }

// String returns REDACTED.
func (PrivateKey) String() string { return redacted }

// Format writes REDACTED, whatever the verb.
func (PrivateKey) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, redacted) }

// LogValue returns REDACTED.
func (PrivateKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns REDACTED.
func (PrivateKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

const secretPrefix = "writ_cs_"

// newSecret returns a client secret: 256 random bits between a prefix and a checksum, so that scanners find leaked ones
// without false alarms.
func newSecret() Secret {
	random := make([]byte, 32)
	rand.Read(random)
	return secretOf(random)
}

// secretOf writes 32 bytes that nobody can guess as a client secret.
func secretOf(random []byte) Secret { return withSum(secretPrefix, random) }

func withSum(prefix string, random []byte) Secret {
	text := prefix + base64.RawURLEncoding.EncodeToString(random)
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(text)))
	return Secret(text + base64.RawURLEncoding.EncodeToString(sum))
}

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// newID returns an ID for a client: readable, and never the same again for the same name.
func newID(name string) string { return idPrefix(name) + randomText(10) }

// newSecretID returns what a secret is called by.
func newSecretID() string { return randomText(10) }

func randomText(length int) string {
	random := make([]byte, (length*5+7)/8)
	rand.Read(random)
	return idEncoding.EncodeToString(random)[:length]
}

// idPrefix returns what the ID of every client with a name begins with, for whoever reads IDs in a log.
func idPrefix(name string) string {
	const longest = 40
	slug := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, name)
	slug = strings.Trim(slug[:min(len(slug), longest)], "-")
	return slug + "-"
}
