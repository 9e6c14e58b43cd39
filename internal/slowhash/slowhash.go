// Package slowhash is for secrets that came from another server with a hash of its own: PBKDF2 and bcrypt, which cost time
// on purpose because a secret that somebody thought up can be guessed. It reads such hashes, verifies them within bounds, makes
// ours, and tells how much work each is, so that a refusal can take the same for everybody.
//
// Secrets that Writ makes need none of it: there is nothing to guess in 256 bits.
package slowhash

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Iterations is how often ours are hashed: twice what Hydra does, about 30 ms. More would be paid by every caller, for every
// refusal costs as much (see Work), and it is once in the life of a process that a client waits for it.
const Iterations = 50_000

// The most that a hash may cost. What an import brings decides how long every refusal takes: without a bound, one client with
// bcrypt cost 31 would be days of work for whoever asks.
const (
	MaxIterations = 600_000
	MaxCost       = 12
)

// Bounds on the parts of a PBKDF2 hash, in bytes.
const (
	minKey, maxKey   = 16, 64
	minSalt, maxSalt = 8, 64
)

const (
	pbkdf2Prefix = "pbkdf2-sha256:"
	bcryptPrefix = "bcrypt:"
	// maxBcrypt is what bcrypt looks at: of a longer secret it would ignore the rest.
	maxBcrypt = 72
)

// A Hash is one secret's slow hash. Its zero value verifies nothing.
type Hash struct {
	text       string
	salt, key  []byte // of PBKDF2
	iterations int
	cost       int // of bcrypt
}

// The reasons why a hash is not taken.
var (
	ErrUnknown   = errors.New("is neither PBKDF2-SHA256 nor bcrypt")
	ErrMalformed = errors.New("is damaged")
	ErrCostly    = fmt.Errorf("costs more than %d iterations of PBKDF2, or bcrypt cost %d", MaxIterations, MaxCost)
)

// Parse reads a hash: ours ("pbkdf2-sha256:i=50000,l=32$SALT$KEY"), "bcrypt:" and "$2a$…", or as Hydra keeps them
// ("$pbkdf2-sha256$i=25000,l=32$SALT$KEY" and "$2a$10$…").
func Parse(text string) (Hash, error) {
	if rest, ok := strings.CutPrefix(text, "$pbkdf2-sha256$"); ok {
		text = pbkdf2Prefix + rest
	}
	if strings.HasPrefix(text, "$2") {
		text = bcryptPrefix + text
	}
	if rest, ok := strings.CutPrefix(text, pbkdf2Prefix); ok {
		return parsePBKDF2(rest)
	}
	if rest, ok := strings.CutPrefix(text, bcryptPrefix); ok {
		return parseBcrypt(rest)
	}
	return Hash{}, ErrUnknown
}

func parsePBKDF2(text string) (Hash, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 3 {
		return Hash{}, ErrMalformed
	}
	iterations, length, ok := strings.Cut(strings.TrimPrefix(parts[0], "i="), ",l=")
	count, err := strconv.Atoi(iterations)
	size, errSize := strconv.Atoi(length)
	salt, errSalt := base64.RawStdEncoding.Strict().DecodeString(parts[1])
	key, errKey := base64.RawStdEncoding.Strict().DecodeString(parts[2])
	if err := errors.Join(err, errSize, errSalt, errKey); err != nil || !ok || count < 1 || size != len(key) ||
		size < minKey || size > maxKey || len(salt) < minSalt || len(salt) > maxSalt {
		return Hash{}, ErrMalformed
	}
	h := Hash{salt: salt, key: key, iterations: count}
	if count > MaxIterations || h.Work().Iterations > MaxIterations {
		return Hash{}, ErrCostly
	}
	h.text = fmt.Sprintf("%si=%d,l=%d$%s$%s", pbkdf2Prefix, count, size, parts[1], parts[2])
	return h, nil
}

func parseBcrypt(text string) (Hash, error) {
	cost, err := bcrypt.Cost([]byte(text))
	switch {
	case err != nil || len(text) != 60 || strings.Trim(text[:4], "$2aby") != "" || !strings.Contains("aby", text[2:3]) || !alphabetic(text[7:]):
		return Hash{}, ErrMalformed
	case cost > MaxCost:
		return Hash{}, ErrCostly
	}
	return Hash{text: bcryptPrefix + text, cost: cost}, nil
}

// alphabetic reports whether a text is in bcrypt's own base64.
func alphabetic(text string) bool {
	return strings.Trim(text, "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// String returns the hash as it is kept. Whoever has it can try secrets: it is to be shown to nobody.
func (h Hash) String() string { return h.text }

// Ours reports whether the hash is one that New could have made: there is no better one to put in its place.
func (h Hash) Ours() bool { return h.iterations == Iterations && len(h.key) == sha256.Size }

// Verify reports whether a secret is the one that was hashed. It takes as long for a wrong one.
func (h Hash) Verify(secret string) bool {
	if h.cost > 0 {
		// bcrypt takes "a", a NUL and "a" for "a", and whatever begins with the same 72 bytes for the same.
		whole := len(secret) <= maxBcrypt && strings.IndexByte(secret, 0) < 0
		err := bcrypt.CompareHashAndPassword([]byte(strings.TrimPrefix(h.text, bcryptPrefix)), []byte(secret))
		return err == nil && whole
	}
	if h.iterations == 0 {
		return false
	}
	key, err := pbkdf2.Key(sha256.New, secret, h.salt, h.iterations, len(h.key))
	return err == nil && subtle.ConstantTimeCompare(key, h.key) == 1
}

// New hashes a secret that could be guessed.
func New(secret string) (string, error) {
	salt := make([]byte, 16)
	rand.Read(salt)
	key, err := pbkdf2.Key(sha256.New, secret, salt, Iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("slowhash: %w", err)
	}
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("%si=%d,l=%d$%s$%s", pbkdf2Prefix, Iterations, len(key), encode(salt), encode(key)), nil
}
