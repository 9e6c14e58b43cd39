package client

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/oauth"
)

// A Key is a private key that signs: client assertions as a Credential (private_key_jwt; RFC 7523), or DPoP proofs as
// Config.DPoPKey. It is safe for concurrent use, and prints and marshals as REDACTED.
//
// Each token request, each repetition of one included, gets an assertion of its own: for the issuer alone (RFC 10070, 4),
// good for a minute, with an ID that was never used. Config must say the Issuer, even beside a TokenEndpoint.
type Key struct {
	load func() (*jose.Signer, error) // behind a function for the reason that secret gives
}

// A KeyOption is what is to be known about a private key beside the key itself.
type KeyOption func(*keySettings)

type keySettings struct{ id, algorithm string }

// KeyID says the key's ID ("kid"), as it is registered or published. Without it the ID is the one that a JWK names, or
// else the key's thumbprint (RFC 7638), which is what Writ calls keys that come without a name.
func KeyID(id string) KeyOption { return func(s *keySettings) { s.id = id } }

// Algorithm says how the key signs: ES256, ES384, EdDSA (or Ed25519, its newer name), PS256 or RS256. Without it the
// algorithm is the one that a JWK names, or else what fits the key; an RSA key signs with PS256.
func Algorithm(name string) KeyOption { return func(s *keySettings) { s.algorithm = name } }

// PrivateKey returns a private key that the caller holds, in memory or in a KMS or an HSM: ECDSA on P-256 or P-384,
// Ed25519, or RSA of 2048 to 4096 bits. New says what is wrong with it.
func PrivateKey(key crypto.Signer, options ...KeyOption) *Key {
	signer, err := settings(options).signer(key)
	return &Key{load: func() (*jose.Signer, error) { return signer, err }}
}

// ParsePrivateKey returns the private key in data: PEM (PKCS #8, SEC 1 or PKCS #1) or a JWK. Errors do not repeat data.
func ParsePrivateKey(data []byte, options ...KeyOption) (*Key, error) {
	signer, err := settings(options).parse(data)
	if err != nil {
		return nil, fmt.Errorf("client: private key: %w", err)
	}
	return &Key{load: func() (*jose.Signer, error) { return signer, nil }}, nil
}

// PrivateKeyFile returns the private key in a file, PEM or a JWK, which is read again for each assertion: whoever rotates
// the key replaces the file, and the client follows. New fails when the file cannot be read; later a token request does.
// As Config.DPoPKey it is read by New and then kept.
func PrivateKeyFile(path string, options ...KeyOption) *Key {
	file := &keyFile{path: path, settings: settings(options)}
	return &Key{load: file.signer}
}

// A keyFile remembers the key that it read last, because checking an RSA key takes longer than signing with one.
type keyFile struct {
	path     string
	settings keySettings

	mu  sync.Mutex
	sum [sha256.Size]byte // of the file's content; guarded by mu
	was *jose.Signer      // what was in it, or nil; guarded by mu
}

func (f *keyFile) signer() (*jose.Signer, error) {
	data, err := readFile("private key file", f.path)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := sha256.Sum256(data)
	if f.was != nil && sum == f.sum {
		return f.was, nil
	}
	signer, err := f.settings.parse(data)
	if err != nil {
		return nil, fmt.Errorf("private key file %s: %w", f.path, err)
	}
	f.was, f.sum = signer, sum
	return signer, nil
}

func settings(options []KeyOption) keySettings {
	var s keySettings
	for _, option := range options {
		option(&s)
	}
	return s
}

func (s keySettings) signer(key crypto.Signer) (*jose.Signer, error) {
	if key == nil {
		return nil, errMissing
	}
	algorithm := s.algorithm
	if algorithm == "" {
		algorithm = jose.DefaultAlgorithm(key.Public())
	}
	if !jose.Fits(algorithm, key.Public()) {
		return nil, fmt.Errorf("the key cannot sign with %q", oauth.SafeText(algorithm))
	}
	id, err := jose.Thumbprint(key.Public())
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(key, algorithm, id)
	if err != nil {
		return nil, err
	}
	return s.named(signer)
}

func (s keySettings) parse(data []byte) (*jose.Signer, error) {
	signer, err := jose.ParseSigner(data, s.algorithm)
	if err != nil {
		return nil, err
	}
	return s.named(signer)
}

// named gives the signer the ID of the options, and refuses one that cannot stand in a header as it is: what a JWK calls
// itself is not our text.
func (s keySettings) named(signer *jose.Signer) (*jose.Signer, error) {
	if s.id != "" {
		signer.KeyID = s.id
	}
	strange := func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }
	if !utf8.ValidString(signer.KeyID) || strings.ContainsFunc(signer.KeyID, strange) {
		return nil, fmt.Errorf("key ID %q has a character that none has", oauth.SafeText(signer.KeyID))
	}
	return signer, nil
}

// signer returns the key as it is now.
func (k *Key) signer() (*jose.Signer, error) {
	if k == nil || k.load == nil {
		return nil, errMissing
	}
	return k.load()
}

func (*Key) methods() []string { return []string{oauth.PrivateKeyJWT} }

func (k *Key) check(issuer string) error {
	_, err := k.signer()
	if issuer == "" {
		err = errors.Join(err, errors.New("needs Issuer: an assertion is for the issuer, and never for its token endpoint (RFC 10070, 4)"))
	}
	return err
}

func (k *Key) attach(request *tokenRequest) error {
	signer, err := k.signer()
	if err != nil {
		return err
	}
	assertion, err := pop.NewAssertion(signer, request.clientID, request.issuer, time.Now())
	if err != nil {
		return err
	}
	request.assert(assertion)
	return nil
}

// Format prints REDACTED for every verb.
func (*Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue logs REDACTED.
func (*Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText writes REDACTED into JSON and every other encoding.
func (*Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
