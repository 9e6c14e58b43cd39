package authority

import (
	"context"
	"errors"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/oauth"
)

// A SecretRotation is the wish of a client that has authenticated with a secret to have the next one.
type SecretRotation struct {
	ClientID string
	Secret   string // ID of the one that it has presented
	Request  string // names the wish, so that it can be repeated; may be empty

	Remote    string // address of the client
	RequestID string
}

const (
	reasonMayNotRotate reason = "may_not_rotate"
	reasonNoSecret     reason = "not_by_secret"
	reasonNotRotated   reason = "not_rotated"
)

// RotateSecret lets a client have its next secret. The client authenticates as for a token, with the secret that is to be
// replaced; rotate makes the new one, which this package, writing no configuration, cannot. An *oauth.Error that it returns is
// the caller's to hear; any other means that it could not be decided.
func (a *Authority) RotateSecret(ctx context.Context, r *Request, rotate func(context.Context, SecretRotation) error) error {
	if err := a.rotateSecret(ctx, r, rotate); err != nil {
		return a.refuse(eventNotRotated, r, err)
	}
	return nil
}

func (a *Authority) rotateSecret(ctx context.Context, r *Request, rotate func(context.Context, SecretRotation) error) error {
	if r.Malformed != nil {
		return r.Malformed
	}
	client, err := a.authenticate(ctx, r)
	if err != nil {
		return err
	}
	switch {
	case r.Outcome.Method != oauth.ClientSecretBasic && r.Outcome.Method != oauth.ClientSecretPost:
		return oauth.Errorf(oauth.UnauthorizedClient, "only who authenticates with a secret can rotate it").Because(reasonNoSecret)
	case !client.RotatesSecrets:
		return oauth.Errorf(oauth.UnauthorizedClient, "the client may not rotate its secrets; its operator can allow it").Because(reasonMayNotRotate)
	}
	asking, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	err = rotate(asking, SecretRotation{client.ID, r.credential, r.Form.Get("request_id"), addressOf(r.Remote), r.ID})
	if refusal, is := errors.AsType[*oauth.Error](err); is {
		return refusal.Because(reasonNotRotated)
	}
	if err != nil {
		return unavailable(err)
	}
	event := audit.Event{Time: a.now(), Kind: eventRotated, ClientID: client.ID, RequestID: r.ID, Remote: r.Remote}
	if err := a.journal.Record(ctx, event); err != nil {
		return unavailable(err)
	}
	return nil
}

// RotatesSecrets reports whether a client can authenticate with a secret here at all.
func (a *Authority) RotatesSecrets() bool {
	return a.permits(oauth.ClientSecretBasic) || a.permits(oauth.ClientSecretPost)
}
