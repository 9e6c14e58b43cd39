package registry

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"github.com/writ-auth/writ/internal/store"
)

// once lets a request that makes a secret be repeated, because its answer was lost: the second answer is the first one again.
//
// Nothing of the secret is kept for it but its hash. The secret of such a request is derived: an HMAC under a key of the
// server, that of the root key, over the client, the actor, the request ID and the random ID of the secret. The record
// of the secret keeps a mark of the request, by which a repetition on any node finds it and derives the same text. The
// secret is as good as a random one to all who do not have the root key, with which one could sign tokens anyway.
//
// The mark has the actor in it: nobody gets the secret of another's request by its ID. It lives as long as the secret: a
// repetition after the secret was revoked or expired is a new request, with another secret.
type once struct {
	secretKey, markKey []byte
	operation          string
	actor, request     string // request "" means that it is not to be repeated
}

// maxRequest bounds a request ID.
const maxRequest = 255

func (r *Registry) once(operation string, actor Actor, request string) once {
	if request == "" {
		return once{}
	}
	return once{r.ring.Derive("client secrets of requests"), r.ring.Derive("marks of requests"), operation, actor.ID, request}
}

// checkRequest refuses what cannot be a request ID.
func checkRequest(request string) error {
	if len(request) > maxRequest || slices.ContainsFunc([]byte(request), func(c byte) bool { return c < 0x20 || c > 0x7e }) {
		return invalid(Problem{"Idempotency-Key", "must be at most 255 printable ASCII characters"})
	}
	return nil
}

// mark names the request in the record of the secret that it made.
func (o once) mark(clientID string) string {
	if o.request == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(o.sum(o.markKey, clientID, ""))
}

// text returns the secret of the request.
func (o once) text(clientID, secretID string) Secret {
	if o.request == "" {
		return newSecret()
	}
	return secretOf(o.sum(o.secretKey, clientID, secretID))
}

// find returns the secret that the request has made before.
func (o once) find(record *store.Client) (store.Secret, bool) {
	mark := o.mark(record.ID)
	i := slices.IndexFunc(record.Secrets, func(s store.Secret) bool { return mark != "" && s.Request == mark })
	if i < 0 {
		return store.Secret{}, false
	}
	return record.Secrets[i], true
}

// repeat returns the text of the secret that the request has made before.
func (o once) repeat(clientID string, made store.Secret) (Secret, error) {
	text := o.text(clientID, made.ID)
	if !store.SameSecret(made.Hash, text.Reveal()) {
		return "", conflict("the answer to the first request with this Idempotency-Key cannot be given again: use another key")
	}
	return text, nil
}

// sum is an HMAC over texts that hold no NUL.
func (o once) sum(key []byte, clientID, secretID string) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{o.operation, clientID, o.actor, o.request, secretID} {
		mac.Write([]byte(part))
		mac.Write([]byte{0})
	}
	return mac.Sum(nil)
}
