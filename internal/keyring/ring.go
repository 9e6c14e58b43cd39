// Package keyring knows which key signs now and which still verify: it makes the server's keys, seals them at rest under
// a root key that is kept outside the database, and moves them along a published schedule (announce, sign, retire,
// drop). It does not know what is signed; authority does.
package keyring

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
)

// Sealing is the algorithm name of the symmetric keys that seal opaque tokens. They live on the same schedule as the
// signing keys, and are never published.
const Sealing = "XC20P"

// MaxPublished is how many keys Rotate lets the key set have: validators take 32, and the schedule must be able to go on
// for every algorithm.
var MaxPublished = jose.MaxJWKSKeys - len(jose.Algorithms)

var (
	// ErrRootKey means that the root key at hand is not the one that the stored keys were sealed under.
	ErrRootKey = errors.New("keyring: this root key did not seal the keys in the database")
	// ErrNoKey means that there is no key that could do what was asked.
	ErrNoKey = errors.New("keyring: no such key")
	// ErrTooManyKeys means that one more published key would make validators refuse the whole key set.
	ErrTooManyKeys = errors.New("keyring: as many keys are published as validators take")
)

// A Ring holds the keys of one issuer. It is safe for concurrent use; signing takes no lock.
type Ring struct {
	store    store.Store
	envelope envelope
	policy   Policy
	now      func() time.Time

	mu         sync.Mutex // held while the state is replaced
	generation int64      // of the store, when the state was read

	state atomic.Pointer[state]
}

// A state is what the ring knows of the stored keys; it is replaced, never changed.
type state struct {
	records []store.SigningKey
	opened  map[string]opened
	jwks    []byte
	etag    string
}

// opened is a key whose private half was unsealed: a signer, or the bytes of a sealing key.
type opened struct {
	signer *jose.Signer
	secret []byte
}

// Options configure a Ring.
type Options struct {
	Root   []byte           // 32 bytes; see LoadRoot
	Now    func() time.Time // nil means time.Now
	Policy Policy           // the zero value means DefaultPolicy
}

// Open reads the keys from the store, and fails if the root key cannot open them: it never makes a key beside keys that
// it cannot read, because every token in use would die with them.
func Open(ctx context.Context, s store.Store, options Options) (*Ring, error) {
	envelope, err := newEnvelope(options.Root)
	if err != nil {
		return nil, err
	}
	r := &Ring{store: s, envelope: envelope, policy: options.Policy, now: options.Now}
	if r.now == nil {
		r.now = time.Now
	}
	if r.policy == (Policy{}) {
		r.policy = DefaultPolicy
	}
	return r, r.reload(ctx)
}

// Derive returns the 32 bytes that belong to a purpose: the same on every node and after every restart, as they come from
// the root key alone (HKDF-SHA256, RFC 5869), and telling nothing about it or about those of another purpose. The
// caller may keep them, and shares them with nobody.
func (r *Ring) Derive(purpose string) []byte { return r.envelope.derive(purpose) }

// Ensure makes the first key of an algorithm, which signs at once, if there is none yet. It applies the schedule first: a
// server that was away for long must not sign with a key whose tokens nobody accepts any more.
func (r *Ring) Ensure(ctx context.Context, algorithm string) error {
	if err := r.Tick(ctx); err != nil {
		return err
	}
	// A key that begins later by our clock counts: another node has made it a moment ago, by a clock that is ahead or while
	// we waited for our turn. A second first key would be one that nobody has seen, perhaps under another root key.
	if _, found := lastSigner(r.state.Load().records, algorithm); found {
		return nil
	}
	return r.apply(ctx, func(now time.Time, keys []store.SigningKey) ([]change, error) {
		if _, found := lastSigner(keys, algorithm); found {
			return nil, nil
		}
		return []change{{create: newKey(now, now, algorithm, r.policy)}}, nil
	})
}

// Rotate announces a new key for an algorithm, which takes over when it has been published for as long as the policy
// asks; immediately makes it take over at once, and validators must then fetch the key set to know it.
func (r *Ring) Rotate(ctx context.Context, algorithm string, immediately bool) (store.SigningKey, error) {
	rotation, err := r.NewRotation(algorithm, immediately)
	if err != nil {
		return store.SigningKey{}, err
	}
	var made store.SigningKey
	err = r.store.Update(ctx, func(tx store.Store) error {
		made, err = rotation.Write(ctx, tx)
		return err
	})
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("keyring: %w", err)
	}
	return made, r.reload(ctx)
}

// Revoke withdraws a key at once: it signs nothing more, is no longer published, and its tokens are dead wherever the
// key set is fetched again. If it was the one that signed, a new key takes over in the same step, and not one that was
// retired before: it may have been retired for a reason.
func (r *Ring) Revoke(ctx context.Context, id string) error {
	revocation, err := r.NewRevocation(id)
	if err != nil {
		return err
	}
	err = r.store.Update(ctx, func(tx store.Store) error {
		_, _, err := revocation.Write(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	return r.reload(ctx)
}

// Tick takes over what other nodes have changed, and applies the schedule. It is cheap when there is nothing to do.
func (r *Ring) Tick(ctx context.Context) error {
	generation, err := r.store.Generation(ctx)
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	r.mu.Lock()
	stale := generation != r.generation
	r.mu.Unlock()
	if stale {
		if err := r.reload(ctx); err != nil {
			return err
		}
	}
	if len(plan(r.now().UTC(), r.state.Load().records, r.policy)) == 0 {
		return nil
	}
	return r.apply(ctx, func(now time.Time, keys []store.SigningKey) ([]change, error) {
		return plan(now, keys, r.policy), nil
	})
}

// List returns all keys, the withdrawn and retired ones included, without their private halves.
func (r *Ring) List() []store.SigningKey {
	keys := slices.Clone(r.state.Load().records)
	for i := range keys {
		keys[i].Sealed = nil
	}
	return keys
}

// SignsNow reports whether a key is the one that signs with its algorithm at this moment.
func (r *Ring) SignsNow(key store.SigningKey) bool {
	signer, found := signerNow(r.now(), r.state.Load().records, key.Algorithm)
	return found && signer.ID == key.ID
}

// Keys returns the public keys that are published now.
func (r *Ring) Keys() []jose.Key {
	state := r.state.Load()
	return state.published(r.now())
}

// JWKS returns the published keys as a JWK Set, with an entity tag of its bytes.
func (r *Ring) JWKS() (body []byte, etag string) {
	state := r.state.Load()
	return state.jwks, state.etag
}

// Find returns the published key with an ID.
func (r *Ring) Find(id string) (jose.Key, bool) {
	state := r.state.Load()
	key, found := state.opened[id]
	if !found || key.signer == nil || !state.live(id, r.now()) {
		return jose.Key{}, false
	}
	return key.signer.Key(), true
}

// Signer returns what signs now with an algorithm.
func (r *Ring) Signer(algorithm string) (*jose.Signer, error) {
	state := r.state.Load()
	key, found := signerNow(r.now(), state.records, algorithm)
	if !found || state.opened[key.ID].signer == nil {
		return nil, fmt.Errorf("%w that signs with %s", ErrNoKey, algorithm)
	}
	return state.opened[key.ID].signer, nil
}

// sealingIDBytes is how much of a sealed message names its key.
const sealingIDBytes = 10

// SealingKey returns the ID of the key that seals now.
func (r *Ring) SealingKey() (string, error) {
	key, found := signerNow(r.now(), r.state.Load().records, Sealing)
	if !found {
		return "", fmt.Errorf("%w that seals", ErrNoKey)
	}
	return key.ID, nil
}

// Seal encrypts and authenticates plain with the sealing key of the moment. The nonce has 192 random bits, so that any
// number of messages may be sealed without one repeating.
func (r *Ring) Seal(plain []byte) ([]byte, error) {
	return r.seal(plain, func(nonce, _ []byte) { rand.Read(nonce) })
}

// SealAgain is Seal with the same result for the same plain, on every node, for as long as the same key seals. The nonce is 192
// bits of an HMAC of plain, under a key that is used for nothing else: it repeats only where plain does, and then nothing is
// told but that it does, which is what the caller asks for (as in RFC 5297's SIV).
func (r *Ring) SealAgain(plain []byte) ([]byte, error) {
	return r.seal(plain, func(nonce, id []byte) {
		mac := hmac.New(sha256.New, r.Derive("nonce of sealing again"))
		mac.Write(id)
		mac.Write(plain)
		copy(nonce, mac.Sum(nil))
	})
}

func (r *Ring) seal(plain []byte, choose func(nonce, id []byte)) ([]byte, error) {
	state := r.state.Load()
	key, found := signerNow(r.now(), state.records, Sealing)
	if !found {
		return nil, fmt.Errorf("%w that seals", ErrNoKey)
	}
	aead, err := chacha20poly1305.NewX(state.opened[key.ID].secret)
	if err != nil {
		return nil, fmt.Errorf("keyring: seal: %w", err)
	}
	id, err := keyIDEncoding.DecodeString(key.ID)
	if err != nil {
		return nil, fmt.Errorf("keyring: seal: %w", err)
	}
	head := sealingIDBytes + chacha20poly1305.NonceSizeX
	out := make([]byte, head, head+len(plain)+chacha20poly1305.Overhead)
	copy(out, id)
	choose(out[sealingIDBytes:head], id)
	return aead.Seal(out, out[sealingIDBytes:], plain, id), nil
}

// Open returns what Seal was given, or ErrNoKey for anything that this ring has not sealed with a key that still lives.
func (r *Ring) Open(sealed []byte) ([]byte, error) {
	head := sealingIDBytes + chacha20poly1305.NonceSizeX
	if len(sealed) < head+chacha20poly1305.Overhead {
		return nil, ErrNoKey
	}
	state := r.state.Load()
	id := keyIDEncoding.EncodeToString(sealed[:sealingIDBytes])
	key, found := state.opened[id]
	if !found || key.secret == nil || !state.live(id, r.now()) {
		return nil, ErrNoKey
	}
	aead, err := chacha20poly1305.NewX(key.secret)
	if err != nil {
		return nil, fmt.Errorf("keyring: open: %w", err)
	}
	plain, err := aead.Open(nil, sealed[sealingIDBytes:head], sealed[head:], sealed[:sealingIDBytes])
	if err != nil {
		return nil, ErrNoKey
	}
	return plain, nil
}

// apply decides, writes and puts down in the history what nobody has asked for, in one transaction, then reads back.
func (r *Ring) apply(ctx context.Context, decide decision) error {
	work, err := r.prepare(decide)
	if err != nil {
		return err
	}
	err = r.store.Update(ctx, func(tx store.Store) error {
		changes, err := work.write(ctx, tx)
		if err != nil {
			return err
		}
		for _, c := range changes {
			if err := tx.Append(ctx, c.event(work.now)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	return r.reload(ctx)
}

func (r *Ring) write(ctx context.Context, tx store.Store, c change, spare map[string]*material) error {
	switch {
	case c.drop != "":
		return tx.Keys().Delete(ctx, c.drop)
	case c.put != nil:
		return tx.Keys().Put(ctx, *c.put)
	}
	m := spare[c.create.Algorithm]
	if m == nil {
		var err error
		if m, err = newMaterial(c.create.Algorithm); err != nil {
			return err
		}
	}
	c.create.ID, c.create.Public = m.id, m.public
	c.create.Sealed = r.envelope.seal(m.private, m.id, c.create.Algorithm)
	return tx.Keys().Insert(ctx, *c.create)
}

// reload reads the keys and unseals those that are new to this process.
func (r *Ring) reload(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	generation, err := r.store.Generation(ctx)
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	records, err := readKeys(ctx, r.store)
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	next := &state{records: records, opened: map[string]opened{}}
	before := r.state.Load()
	for _, record := range records {
		if before != nil {
			if key, known := before.opened[record.ID]; known {
				next.opened[record.ID] = key
				continue
			}
		}
		if next.opened[record.ID], err = r.unseal(record); err != nil {
			return err
		}
	}
	if next.jwks, err = jose.MarshalJWKS(next.published(r.now())); err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	sum := sha256.Sum256(next.jwks)
	next.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	r.state.Store(next)
	r.generation = generation
	return nil
}

func (r *Ring) unseal(record store.SigningKey) (opened, error) {
	private, err := r.envelope.open(record.Sealed, record.ID, record.Algorithm)
	if err != nil {
		return opened{}, fmt.Errorf("%w (key %s)", ErrRootKey, record.ID)
	}
	if record.Algorithm == Sealing {
		return opened{secret: private}, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return opened{}, fmt.Errorf("keyring: key %s: %w", record.ID, err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return opened{}, fmt.Errorf("keyring: key %s cannot sign", record.ID)
	}
	signer, err := jose.NewSigner(key, record.Algorithm, record.ID)
	if err != nil {
		return opened{}, fmt.Errorf("keyring: key %s: %w", record.ID, err)
	}
	return opened{signer: signer}, nil
}

// live reports whether a key's tokens are still accepted.
func (s *state) live(id string, now time.Time) bool {
	i := slices.IndexFunc(s.records, func(key store.SigningKey) bool { return key.ID == id })
	return i >= 0 && s.records[i].Revoked.IsZero() && now.Before(s.records[i].DropAt)
}

func (s *state) published(now time.Time) []jose.Key {
	var keys []jose.Key
	for _, record := range s.records {
		if signer := s.opened[record.ID].signer; signer != nil && s.live(record.ID, now) {
			keys = append(keys, signer.Key())
		}
	}
	return keys
}

// readKeys returns all keys. There are few: a handful an algorithm.
func readKeys(ctx context.Context, s store.Store) ([]store.SigningKey, error) {
	var keys []store.SigningKey
	err := store.Each(ctx, s.Keys(), func(key store.SigningKey) error {
		keys = append(keys, key)
		return nil
	})
	return keys, err
}

// keyIDEncoding writes key IDs in lower-case letters and digits, which every database sorts alike and people can type.
var keyIDEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// material is a new key before it is sealed.
type material struct {
	id      string
	public  []byte
	private []byte
}

func newMaterial(algorithm string) (*material, error) {
	if algorithm == Sealing {
		random := make([]byte, sealingIDBytes+chacha20poly1305.KeySize)
		rand.Read(random)
		return &material{id: keyIDEncoding.EncodeToString(random[:sealingIDBytes]), private: random[sealingIDBytes:]}, nil
	}
	key, err := jose.GenerateKey(algorithm)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	sum := sha256.Sum256(public)
	return &material{id: keyIDEncoding.EncodeToString(sum[:sealingIDBytes]), public: public, private: private}, nil
}
