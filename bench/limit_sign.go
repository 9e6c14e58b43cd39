package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"strings"
	"sync"
)

// A signer of the limit server has its header encoded, and computes a signature.
type signer struct {
	header string
	sign   func(input []byte) []byte // nil: header is the whole token, always the same
	public crypto.PublicKey          // of those that tokens are verified with
}

// newSigners makes a key of each kind.
func newSigners() (map[string]*signer, error) {
	onCurve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	modular := sync.OnceValue(func() *rsa.PrivateKey { // when it is asked for: it takes longer than everything else
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err) // only for sizes that are too small
		}
		return key
	})
	header := func(algorithm string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + algorithm + `","kid":"bench","typ":"at+jwt"}`))
	}
	return map[string]*signer{
		"es256":         {header("ES256"), ecdsaSigner(onCurve, rand.Reader), onCurve.Public()},
		"es256-rfc6979": {header("ES256"), ecdsaSigner(onCurve, nil), onCurve.Public()}, // nil asks for the nonce of RFC 6979
		"ed25519":       {header("Ed25519"), func(input []byte) []byte { return ed25519.Sign(edwards, input) }, public},
		"rs256": {header("RS256"), func(input []byte) []byte {
			digest := sha256.Sum256(input)
			signature, err := rsa.SignPKCS1v15(nil, modular(), crypto.SHA256, digest[:])
			if err != nil {
				panic(err) // not with a key of our own
			}
			return signature
		}, nil},
		"none": {header: "writ_at_" + strings.Repeat("x", 400)},
	}, nil
}

func ecdsaSigner(key *ecdsa.PrivateKey, random io.Reader) func([]byte) []byte {
	return func(input []byte) []byte {
		digest := sha256.Sum256(input)
		der, err := key.Sign(random, digest[:], crypto.SHA256)
		if err != nil {
			panic(err) // not with a key of our own
		}
		return fixedLength(der)
	}
}

// fixedLength turns the ASN.1 of a signature, SEQUENCE { INTEGER r, INTEGER s }, into R || S (RFC 7518, 3.4).
func fixedLength(der []byte) []byte {
	out := make([]byte, 64)
	r := der[4 : 4+der[3]]
	s := der[6+der[3]:]
	for i, number := range [][]byte{r, s} {
		if len(number) > 32 {
			number = number[len(number)-32:] // a zero in front keeps it positive
		}
		copy(out[32*(i+1)-len(number):], number)
	}
	return out
}
