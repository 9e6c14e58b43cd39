package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// An OwnRotation is what a client wants that has authenticated with a secret.
type OwnRotation struct {
	ClientID  string
	Presented string // ID of the secret
	Request   string // names the wish, so that it can be repeated; may be empty

	Remote    string // where it came from, for the event; may be empty, as may the next
	RequestID string
}

// RotateOwnSecret gives a client a new secret in the place of the one that it has presented, which keeps DefaultKeep of its
// life at most; no other secret of the client changes. The caller has authenticated the client by it. With a request ID the
// answer can be had again, as in once, until the new secret was used.
//
// Whoever holds a secret can renew it by this, a thief too, and a secret that its owner goes on renewing must be renewable. So
// the rules are those of rotated refresh tokens (RFC 9700, 4.14.2): a secret has one successor. Once that was used, the secret
// that it came from makes no other, and the one of the two parties who comes second is refused, sees the own secret end within
// the day, and is heard of; until then the second takes the place of the first, which got nowhere. A secret to which an
// operator gave its end makes none either: a rotation by hand cuts a thief off for good. The new secret has the lifetime, the
// name and the ceiling of the old one: no renewal widens anything.
func (r *Registry) RotateOwnSecret(ctx context.Context, wish OwnRotation) (NewSecret, error) {
	if err := checkRequest(wish.Request); err != nil {
		return NewSecret{}, err
	}
	clientID, presented := wish.ClientID, wish.Presented
	client := System(clientID) // it has no admin scope, and needs none for this
	client.Remote, client.RequestID = wish.Remote, wish.RequestID
	s := succession{presented: presented, once: r.once("own "+presented, client, wish.Request)}
	var made NewSecret
	err := r.change(ctx, client, ClientsWrite, func(tx transaction) (store.Event, error) {
		record, err := tx.Clients().Get(ctx, clientID)
		if errors.Is(err, store.ErrNotFound) {
			return store.Event{}, errNoSecret
		}
		if err != nil {
			return store.Event{}, err
		}
		gone := prune(&record, tx.now)
		if s.uses, err = tx.Uses(ctx, clientID); err != nil {
			return store.Event{}, err
		}
		s.now, s.client, s.replaced = tx.now, &record, ""
		again, err := s.next(&made)
		if err != nil || again {
			return store.Event{}, err
		}
		record.Updated = tx.now
		event := store.Event{Action: "client.secret_rotated", Object: clientID, Detail: detail(struct {
			SecretInfo
			Presented string `json:"presented"`
			Replaced  string `json:"replaced,omitempty"`
		}{made.SecretInfo, presented, s.replaced})}
		return event, errors.Join(tx.Clients().Put(ctx, record), gone.tell(ctx, tx, clientID, tx.now))
	})
	if err != nil {
		return NewSecret{}, err
	}
	return made, nil
}

// errNoSecret is the answer to a secret that counts no more, or whose client does not.
var errNoSecret = &Error{Code: Unauthorized, Text: "the secret counts no more, or the client does not"}

// A succession is how one secret of a client comes to its successor.
type succession struct {
	presented string
	once      once
	client    *store.Client
	uses      []store.Use
	now       time.Time
	replaced  string // ID of a successor that was never used and goes
}

// next gives the client the new secret, or, of a request that is repeated, returns again what it has made before.
func (s *succession) next(made *NewSecret) (again bool, err error) {
	i := slices.IndexFunc(s.client.Secrets, func(secret store.Secret) bool { return secret.ID == s.presented })
	switch {
	case i < 0 || s.client.Suspended || !accepts(s.client, usesSecrets):
		return false, errNoSecret
	case !s.client.RotatesSecrets:
		return false, forbidden("", "the client may not rotate its secrets: an operator can allow it, with writ client update NAME --may-rotate-secret")
	}
	model := s.client.Secrets[i]
	if before := slices.IndexFunc(s.client.Secrets, s.succeeds); before >= 0 {
		model = s.client.Secrets[before]
		if again, err := s.repeat(model, made); again || err != nil {
			return again, err
		}
		s.replaced = model.ID
	} else if !model.Rotated.IsZero() {
		return false, conflict("the secret has an end since an operator rotated it: use the one that came in its place")
	}
	return false, s.replace(model, made)
}

// origin begins the mark of a secret that came by way of another. IDs have no dot.
func (s *succession) origin() string { return "own." + s.presented + "." }

func (s *succession) succeeds(secret store.Secret) bool {
	return strings.HasPrefix(secret.Request, s.origin())
}

// repeat returns the successor that there is to the request that has made it. After the successor was used, nobody who sent
// that request can need it any more, and who has overheard the request must not get it. Another request may replace it only if
// it was certainly not used: uses are written down a little later.
func (s *succession) repeat(successor store.Secret, made *NewSecret) (again bool, err error) {
	used := !lastUse(s.uses, successor.ID, successor.Created).LastUsed.IsZero()
	mine := s.once.request != "" && successor.Request == s.origin()+s.once.mark(s.client.ID)
	switch {
	case used:
		return false, conflict("the secret was rotated before, and its successor %s is in use: if that is not you, tell the operator", successor.ID)
	case mine:
		text, err := s.once.repeat(s.client.ID, successor)
		*made = s.answer(successor, text)
		return true, err
	case s.now.Before(successor.Created.Add(noteInterval + noteDelay)):
		return false, conflict("the secret was rotated a moment ago: send the same request_id, or wait two minutes")
	}
	return false, nil
}

// replace makes the new secret, after the model of the one that goes.
func (s *succession) replace(model store.Secret, made *NewSecret) error {
	secrets := slices.DeleteFunc(slices.Clone(s.client.Secrets), func(secret store.Secret) bool { return secret.ID == s.replaced })
	presented := slices.IndexFunc(secrets, func(secret store.Secret) bool { return secret.ID == s.presented })
	if secrets[presented].Name == model.Name { // what operators know it by goes on to what is used from now on
		secrets[presented].Name = ""
	}
	rotateOut(&secrets[presented], s.uses, s.now, DefaultKeep)
	s.client.Secrets = secrets
	settings := SecretSettings{Name: model.Name}
	if !model.Expires.IsZero() {
		settings.Expires = s.now.Add(model.Expires.Sub(model.Created))
	}
	secret, err := newSecretRecord(s.client, settings, s.now)
	if err != nil {
		return err
	}
	text := s.once.text(s.client.ID, secret.ID)
	secret.Hash, secret.Request, secret.Limit = store.HashSecret(text.Reveal()), s.origin()+s.once.mark(s.client.ID), model.Limit
	s.client.Secrets = append(s.client.Secrets, secret)
	*made = s.answer(secret, text)
	return nil
}

// answer is what the client gets: its new secret, and the end of the one that it has presented.
func (s *succession) answer(successor store.Secret, text Secret) NewSecret {
	made := NewSecret{ClientID: s.client.ID, SecretInfo: secretInfo(successor, nil), Secret: text}
	for _, secret := range s.client.Secrets {
		if secret.ID == s.presented {
			made.Former = []SecretInfo{secretInfo(secret, nil)}
		}
	}
	return made
}
