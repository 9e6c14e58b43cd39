package server

import (
	"context"
	"errors"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// A rotatedSecret is the answer to a client that has rotated its secret. The first members are those of RFC 7591, 3.2.1.
type rotatedSecret struct {
	ClientID string          `json:"client_id"`
	Secret   registry.Secret `json:"client_secret"`
	Expires  int64           `json:"client_secret_expires_at"` // seconds since the epoch; 0: never
	ID       string          `json:"client_secret_id"`

	FormerID      string `json:"former_client_secret_id"`
	FormerExpires int64  `json:"former_client_secret_expires_at"`
}

// rotateSecret makes the next secret of a client that the authority has authenticated by the one before.
func (s *Server) rotateSecret(ctx context.Context, wish authority.SecretRotation) (any, error) {
	made, err := s.registry.RotateOwnSecret(ctx, registry.OwnRotation{
		ClientID: wish.ClientID, Presented: wish.Secret, Request: wish.Request, Remote: wish.Remote, RequestID: wish.RequestID,
	})
	if refusal, is := errors.AsType[*registry.Error](err); is {
		return nil, oauth.Errorf(rotationCode(refusal.Code), oauth.SafeText(refusal.Error()))
	}
	if err != nil {
		return nil, err
	}
	answer := rotatedSecret{ClientID: made.ClientID, Secret: made.Secret, Expires: epoch(made.Expires), ID: made.ID}
	for _, former := range made.Former {
		answer.FormerID, answer.FormerExpires = former.ID, epoch(former.Expires)
	}
	return answer, nil
}

// rotationCode returns what a refusal of the registry is in OAuth's words.
func rotationCode(code registry.Code) oauth.Code {
	switch code {
	case registry.Unauthorized:
		return oauth.InvalidClient // revoked, or suspended, since it was authenticated
	case registry.Forbidden:
		return oauth.UnauthorizedClient
	}
	return oauth.InvalidRequest
}

// epoch returns a time as RFC 7591 writes it, 0 for none.
func epoch(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
