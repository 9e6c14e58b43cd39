package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"

	gojose "github.com/go-jose/go-jose/v4"
)

// A Signer mints compact JWSs with one key and one algorithm. It is the hot path of issuing a token: the header is
// encoded once, and a signature is all that is computed. Safe for concurrent use.
type Signer struct {
	KeyID     string
	Algorithm string

	key    crypto.Signer
	public []byte // the JWK of the public half, as SignWithKey has it in the header
	length int    // of the longest signature, in bytes
}

// NewSigner returns a Signer for a key, in memory or behind a KMS.
func NewSigner(key crypto.Signer, algorithm, keyID string) (*Signer, error) {
	if !Known(algorithm) || !fits(algorithm, key.Public()) {
		return nil, fmt.Errorf("jose: key is not for %s", algorithm)
	}
	public, err := gojose.JSONWebKey{Key: key.Public()}.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("jose: key: %w", err)
	}
	s := &Signer{KeyID: keyID, Algorithm: algorithm, key: key, public: public, length: 96}
	if modulus, ok := key.Public().(*rsa.PublicKey); ok {
		s.length = modulus.Size()
	}
	return s, nil
}

// Key returns the public half.
func (s *Signer) Key() Key { return Key{ID: s.KeyID, Algorithm: s.Algorithm, Public: s.key.Public()} }

// Repeats reports whether Sign returns the same for the same payload, now, on another machine and after a restart: not for
// PS256, whose signatures are salted, and not for ECDSA with a key that may choose its nonces.
func (s *Signer) Repeats() bool {
	switch s.Algorithm {
	case ES256, ES384:
		_, local := s.key.(*ecdsa.PrivateKey)
		return local
	}
	return s.Algorithm != PS256
}

// Sign returns payload, a JSON object, as a compact JWS of the given type. Algorithm and key ID hold only characters
// that need no escape in JSON: they are ours.
func (s *Signer) Sign(typ string, payload []byte) (string, error) {
	var scratch [128]byte
	header := append(scratch[:0], `{"alg":"`...)
	header = append(header, s.Algorithm...)
	header = append(header, `","kid":"`...)
	header = append(header, s.KeyID...)
	header = append(header, `","typ":"`...)
	header = append(header, typ...)
	return s.compact(append(header, `"}`...), payload)
}

// SignWithKey returns payload as Sign does, with the public key in the header instead of its ID (RFC 7515, 4.1.3):
// ParseWithKey reads it.
func (s *Signer) SignWithKey(typ string, payload []byte) (string, error) {
	return s.compact([]byte(`{"alg":"`+s.Algorithm+`","jwk":`+string(s.public)+`,"typ":"`+typ+`"}`), payload)
}

// tokens are buffers for tokens in the making.
var tokens = sync.Pool{New: func() any { return new([]byte) }}

func (s *Signer) compact(header, payload []byte) (string, error) {
	encoding := base64.RawURLEncoding
	room := tokens.Get().(*[]byte)
	defer tokens.Put(room)
	out := slices.Grow((*room)[:0], encoding.EncodedLen(len(header))+encoding.EncodedLen(len(payload))+2+encoding.EncodedLen(s.length))
	*room = out
	out = encoding.AppendEncode(out, header)
	out = append(out, '.')
	out = encoding.AppendEncode(out, payload)
	var made [96]byte // on the stack: most signatures are no longer
	signature, err := s.signature(made[:0], out)
	if err != nil {
		return "", fmt.Errorf("jose: sign: %w", err)
	}
	out = append(out, '.')
	return string(encoding.AppendEncode(out, signature)), nil
}

// signature returns the signature of an input, in room if it is made here.
func (s *Signer) signature(room, input []byte) ([]byte, error) {
	switch s.Algorithm {
	case Ed25519, EdDSA:
		if local, is := s.key.(ed25519.PrivateKey); is {
			return append(room, ed25519.Sign(local, input)...), nil // which is on the stack, too
		}
		return s.key.Sign(nil, input, crypto.Hash(0))
	case ES256:
		digest := sha256.Sum256(input)
		return s.ecdsaSignature(room, digest[:], crypto.SHA256, 32)
	case ES384:
		digest := sha512.Sum384(input)
		return s.ecdsaSignature(room, digest[:], crypto.SHA384, 48)
	case RS256:
		digest := sha256.Sum256(input)
		return s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	case PS256:
		digest := sha256.Sum256(input)
		return s.key.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	}
	return nil, errors.New("unknown algorithm")
}

// ecdsaSignature turns the signer's ASN.1 into the fixed-length R || S of RFC 7518, 3.4. A key in memory is asked for a
// deterministic nonce (RFC 6979), which is a tenth faster and does not depend on the random source.
func (s *Signer) ecdsaSignature(room, digest []byte, hash crypto.Hash, size int) ([]byte, error) {
	random := rand.Reader
	if _, local := s.key.(*ecdsa.PrivateKey); local {
		random = nil
	}
	der, err := s.key.Sign(random, digest, hash)
	if err != nil {
		return nil, err
	}
	return fixedLength(room, der, size)
}

var errSignatureShape = errors.New("the signer's signature is not two numbers in DER")

// fixedLength turns a SEQUENCE of two INTEGERs in DER (RFC 3279, 2.2.3) into their bytes, size each. It is written by hand
// because it runs once a token: encoding/asn1 takes ten times as long, and it is our own signer's output that is read.
func fixedLength(room, der []byte, size int) ([]byte, error) {
	if len(der) < 2 || der[0] != 0x30 || int(der[1]) != len(der)-2 || der[1] >= 0x80 {
		return nil, errSignatureShape
	}
	out, rest := append(room[:0], make([]byte, 2*size)...), der[2:]
	for _, number := range [][]byte{out[:size], out[size:]} {
		if len(rest) < 2 || rest[0] != 0x02 || rest[1] == 0 || int(rest[1]) > len(rest)-2 || rest[2]&0x80 != 0 {
			return nil, errSignatureShape // a length of 128 or more is behind the end, as is one that is negative
		}
		digits := rest[2 : 2+rest[1]]
		if digits[0] == 0 && len(digits) > 1 {
			digits = digits[1:] // which was there so that the number is not negative
			if digits[0]&0x80 == 0 {
				return nil, errSignatureShape
			}
		}
		if len(digits) > size {
			return nil, errSignatureShape
		}
		copy(number[size-len(digits):], digits)
		rest = rest[2+rest[1]:]
	}
	if len(rest) != 0 {
		return nil, errSignatureShape
	}
	return out, nil
}
