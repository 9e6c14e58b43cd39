package jose

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
	"time"
)

// TestMarshal writes both halves of a pair of each algorithm and reads them again.
func TestMarshal(t *testing.T) {
	t.Parallel()
	for _, algorithm := range Algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			key, err := GenerateKey(algorithm)
			if err != nil {
				t.Fatal(err)
			}
			private, err := MarshalPrivate(key, algorithm)
			if err != nil {
				t.Fatal(err)
			}
			signer, err := ParseSigner(private, "")
			if err != nil || signer.Algorithm != algorithm {
				t.Fatalf("%v, algorithm %+v", err, signer)
			}
			public, err := MarshalPublic(signer.Key())
			if err != nil {
				t.Fatal(err)
			}
			for _, member := range []string{`"d"`, `"p"`, `"q"`} {
				if bytes.Contains(public, []byte(member)) {
					t.Errorf("the public half has %s", member)
				}
			}
			keys, err := ParsePublic(public)
			if err != nil || len(keys) != 1 || keys[0].Algorithm != algorithm || keys[0].ID != signer.KeyID {
				t.Errorf("%v: %+v", err, keys)
			}
			if _, err := ParsePublic(private); !errors.Is(err, ErrPrivate) {
				t.Errorf("the private half is read as a public key: %v", err)
			}
		})
	}
	key, err := GenerateKey(ES256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := MarshalPrivate(key, RS256); err == nil {
		t.Error("an EC key was written as one for RS256")
	}
}

func TestMarshalCertificate(t *testing.T) {
	t.Parallel()
	key, err := GenerateKey(ES256)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	public, err := MarshalPublic(Key{ID: "a", Algorithm: ES256, Public: key.Public(), Certificate: certificate})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParsePublic(public)
	if err != nil || len(keys) != 1 || keys[0].Certificate == nil || !bytes.Equal(keys[0].Certificate.Raw, der) {
		t.Errorf("%v: %+v", err, keys)
	}
}
