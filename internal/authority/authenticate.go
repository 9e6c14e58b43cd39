package authority

import (
	"context"
	"errors"
	"slices"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// A clientAuth is a client authentication method.
type clientAuth struct {
	// present returns the credentials of this method that a request carries, readable or not, and whether it carries any.
	present func(r *Request) (credentials, bool)
	// prove returns nil if the credentials are the client's, or a reason. It does the same work for every client, decoys
	// included.
	prove func(a *Authority, client *store.Client, presented credentials) error
}

// clientAuths are the client authentication methods that can be registered. The metadata lists what stands here.
var clientAuths = map[string]clientAuth{
	oauth.ClientSecretBasic: clientSecretBasic,
	oauth.ClientSecretPost:  clientSecretPost,
}

// errInvalidClient is the one answer to every client that does not authenticate, whatever is wrong: who is registered,
// suspended or expired is nobody's business (STANDARDS, section 5).
var errInvalidClient = oauth.Errorf(oauth.InvalidClient, "client authentication failed")

// The reasons that the operator sees behind errInvalidClient.
const (
	reasonUnknownClient   reason = "unknown_client"
	reasonClientSuspended reason = "client_disabled"
	reasonWrongMethod     reason = "wrong_method"
	reasonWrongSecret     reason = "wrong_secret"
	reasonSecretExpired   reason = "secret_expired"
	reasonNoCredentials   reason = "no_credentials"
)

// authenticate returns the client that a request comes from. Only the method that the client is registered with counts.
//
// A refusal takes the same steps for an unknown client as for a wrong secret: it is made only on a record read from the
// store at that moment, so that a secret added on another node a moment ago is not refused, and it reads one record that
// exists and one that does not.
func (a *Authority) authenticate(ctx context.Context, r *Request) (*client, error) {
	presented, err := r.presented()
	if err != nil {
		return nil, err
	}
	if err := a.failures.check(presented.clientID, r.Remote); err != nil {
		return nil, err
	}
	known, fresh, err := a.directory.client(ctx, presented.clientID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, unavailable(err)
	}
	if a.verify(known, presented) == nil {
		return known, nil
	}
	if !fresh {
		if known, err = a.directory.read(ctx, presented.clientID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, unavailable(err)
		}
	}
	why := a.verify(known, presented) // a second time for a fresh record too: who is not cached must not be told by it
	if why == nil {
		return known, nil
	}
	if err := a.directory.sameWork(ctx, known != nil); err != nil {
		return nil, unavailable(err)
	}
	a.failures.add(presented.clientID, r.Remote)
	return nil, errInvalidClient.Because(why)
}

// decoy stands in for a client that is not there, so that looking at its credentials costs what it costs for one that is.
var decoy = &client{Client: &store.Client{
	AuthMethod: oauth.ClientSecretBasic,
	Secrets:    []store.Secret{{ID: "decoy", Hash: store.HashSecret("no secret has this text, as it has no checksum")}},
}}

func (a *Authority) verify(known *client, presented credentials) error {
	judged := known
	if known == nil {
		judged = decoy
	}
	method, registered := clientAuths[judged.AuthMethod]
	if !registered {
		method = clientAuths[decoy.AuthMethod]
	}
	why := method.prove(a, judged.Client, presented)
	switch {
	case presented.method == "" || presented.unreadable:
		return reasonNoCredentials
	case known == nil:
		return reasonUnknownClient
	case !registered || presented.method != known.AuthMethod:
		return reasonWrongMethod
	case why != nil:
		return why
	case known.Suspended:
		return reasonClientSuspended
	}
	return nil
}

func names[V any](table map[string]V) []string {
	var all []string
	for name := range table {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
