package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// repeatable is how long a request that creates something can be sent again.
const repeatable = 24 * time.Hour

// Once returns the registry for one request that creates a client, a resource, a role or an initial access token, that adds a key
// to a client, or that rotates a key of the server, and that may be sent again: within a day, the same actor's same request with
// the same key creates nothing, and has the answer of the first. With another content it is a Conflict. Without a key it is the registry itself.
func (r *Registry) Once(key string) *Registry {
	if key == "" {
		return r
	}
	repeated := *r
	repeated.request = key
	return &repeated
}

// again reports whether a request was carried out before, inside the transaction that would carry it out: of two that come
// together one waits for the other. What is remembered is an HMAC of it.
func (o once) again(ctx context.Context, tx store.Store, content any, now time.Time) (bool, error) {
	if o.request == "" {
		return false, nil
	}
	if err := checkRequest(o.request); err != nil {
		return false, err
	}
	sum := sha256.Sum256([]byte(detail(content)))
	switch err := tx.UseOnce(ctx, o.used(string(sum[:])), now.Add(repeatable)); {
	case errors.Is(err, store.ErrExists):
		return true, nil
	case err != nil:
		return false, err
	}
	err := tx.UseOnce(ctx, o.used(""), now.Add(repeatable))
	if errors.Is(err, store.ErrExists) {
		err = conflict("another request had this Idempotency-Key: use another key")
	}
	return false, err
}

// used names something about the request among what is used once: that it was made, with which content, what it made.
func (o once) used(what string) string {
	return "request:" + base64.RawURLEncoding.EncodeToString(o.sum(o.markKey, "", what))
}

// errGone is the answer to a request that is sent again when what it made is not there any more.
var errGone = conflict("the first request with this Idempotency-Key was carried out, and what it made was deleted, or is another now: use another key")

// A keyRequest is what a request says that adds a key.
type keyRequest struct {
	ClientID string
	Data     []byte
	Settings KeySettings
}

// keyMadeBefore returns the key that a request added which is sent again.
func keyMadeBefore(record *store.Client, data []byte) (store.ClientKey, error) {
	jwk, err := asJWK(data)
	if err != nil {
		return store.ClientKey{}, errGone
	}
	key, err := parseClientKey(jwk, record.SigningAlgorithm)
	if err != nil {
		return store.ClientKey{}, errGone
	}
	i := slices.IndexFunc(record.Keys, func(k store.ClientKey) bool { return k.ID == key.ID && bytes.Equal(k.Public, key.Public) })
	if i < 0 {
		return store.ClientKey{}, errGone
	}
	return record.Keys[i], nil
}

// initialToken returns the text of an initial access token. That of a request that may be sent again is derived, as the secrets
// of once are; what takes the place of their random ID is when the token was made. So the text of a token that was revoked is
// never that of another.
func (o once) initialToken(record store.InitialToken) Secret {
	if o.request == "" {
		return newToken(initialPrefix)
	}
	return withSum(initialPrefix, o.sum(o.secretKey, "", strconv.FormatInt(record.Created.UnixMicro(), 10)))
}

// tokenMadeBefore returns the initial access token that a request made which is sent again, and its text.
func (o once) tokenMadeBefore(ctx context.Context, tx store.Store, name string) (store.InitialToken, Secret, error) {
	record, err := findInitialToken(ctx, tx, name)
	if errors.Is(err, NotFound) {
		err = errGone
	}
	if err != nil {
		return record, "", err
	}
	text := o.initialToken(record)
	if !store.SameSecret(record.Hash, text.Reveal()) {
		return record, "", errGone
	}
	return record, text, nil
}
