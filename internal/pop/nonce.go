package pop

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// nonceStep is how long a nonce is the current one. It is good for one step more.
const nonceStep = 2 * time.Minute

// Nonces makes and checks the nonces of DPoP proofs (RFC 9449, 8). A nonce is a MAC of the time it is made at: it takes
// no memory, changes by itself, and is good on every node that has the same key. It is safe for concurrent use.
type Nonces struct {
	key []byte
	now func() time.Time
}

// NewNonces returns the nonces of a key of at least 32 bytes that nothing else is done with. now may be nil.
func NewNonces(key []byte, now func() time.Time) (*Nonces, error) {
	if len(key) < sha256.Size {
		return nil, errors.New("pop: the key for nonces is shorter than 32 bytes")
	}
	if now == nil {
		now = time.Now
	}
	return &Nonces{key: key, now: now}, nil
}

// Current returns the nonce that clients are told now.
func (n *Nonces) Current() string { return n.at(n.now().Unix() / int64(nonceStep/time.Second)) }

// Good reports whether nonce is the current one, or the one before, or that of a node whose clock is a step ahead.
func (n *Nonces) Good(nonce string) bool {
	step := n.now().Unix() / int64(nonceStep/time.Second)
	good := 0
	for _, known := range []int64{step, step - 1, step + 1} {
		good |= subtle.ConstantTimeCompare([]byte(n.at(known)), []byte(nonce))
	}
	return good == 1
}

func (n *Nonces) at(step int64) string {
	mac := hmac.New(sha256.New, n.key)
	mac.Write([]byte("writ dpop nonce"))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}
