package slowhash

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"fmt"
	"math/bits"

	"golang.org/x/crypto/bcrypt"
)

// Work is how much it takes to verify hashes: iterations of PBKDF2 with SHA-256, and rounds of bcrypt, which are two to the
// power of its cost. The zero value is none.
type Work struct{ Iterations, Rounds int }

// Work returns what it takes to verify the hash, whatever the secret.
func (h Hash) Work() Work {
	if h.cost > 0 {
		return Work{Rounds: 1 << h.cost}
	}
	blocks := (len(h.key) + sha256.Size - 1) / sha256.Size
	return Work{Iterations: h.iterations * blocks}
}

// Plus returns the sum.
func (w Work) Plus(other Work) Work {
	return Work{w.Iterations + other.Iterations, w.Rounds + other.Rounds}
}

// Minus returns what is left of w when other was done.
func (w Work) Minus(other Work) Work {
	return Work{max(0, w.Iterations-other.Iterations), max(0, w.Rounds-other.Rounds)}
}

// Or returns the work that covers both.
func (w Work) Or(other Work) Work {
	return Work{max(w.Iterations, other.Iterations), max(w.Rounds, other.Rounds)}
}

// nobody is a bcrypt hash without its cost, of no secret.
const nobody = "7EqJtq98hPqEX7fNZaFWoOhi5l8T4b9Hn0fV7Lr6Yx6FQ3Mm2S5eW"

// Do does the work for nothing: what others' secrets take who are known.
func (w Work) Do(secret string) {
	if w.Iterations > 0 {
		_, _ = pbkdf2.Key(sha256.New, secret, make([]byte, 16), w.Iterations, sha256.Size) // nobody wants the key
	}
	for left := w.Rounds; left >= 1<<bcrypt.MinCost; {
		cost := bits.Len(uint(left)) - 1 // rounds come in powers of two
		_ = idle(cost, secret)           // nobody's secret
		left -= 1 << cost
	}
}

// idle compares a secret with a hash that nothing has.
func idle(cost int, secret string) error {
	return bcrypt.CompareHashAndPassword(fmt.Appendf(nil, "$2a$%02d$%s", cost, nobody), []byte(secret))
}
