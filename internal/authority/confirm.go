package authority

import (
	"context"

	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/oauth"
)

// confirm returns the key that a client's token will be bound to, or nil for a bearer token: the certificate of the
// connection if its tokens are to be bound to that.
func (a *Authority) confirm(_ context.Context, r *Request, client *client) (*pop.Confirmation, error) {
	if client.DPoPBound {
		return nil, oauth.Errorf(oauth.InvalidRequest, "this client's tokens are bound to a key: send a DPoP proof")
	}
	if !client.CertificateBound {
		return nil, nil
	}
	if len(r.Certificates) == 0 {
		return nil, oauth.Errorf(oauth.InvalidRequest, "this client's tokens are bound to its certificate: use the mTLS endpoint and show it")
	}
	return &pop.Confirmation{Certificate: pop.CertificateThumbprint(r.Certificates[0])}, nil
}
