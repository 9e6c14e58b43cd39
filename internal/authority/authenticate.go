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
	// prove returns the client's credential that the presented ones prove, or a reason. Its work depends on what is presented
	// and not on the client: where a client has nothing to compare with, it compares with a decoy. One that is right and may
	// not be used from where the caller is costs what a wrong one costs.
	prove func(ctx context.Context, a *Authority, client *client, presented credentials) (by credential, why error)
	// settle, if there is one, uses up what is good only once. It runs when everything else is good, and returns a reason, or
	// an *Unavailable.
	settle func(ctx context.Context, a *Authority, client *client, presented credentials) error
}

// clientAuths are the client authentication methods that can be registered. The metadata lists those that work here.
var clientAuths = map[string]clientAuth{
	oauth.ClientSecretBasic:       clientSecretBasic,
	oauth.ClientSecretPost:        clientSecretPost,
	oauth.PrivateKeyJWT:           privateKeyJWT,
	oauth.TLSClientAuth:           tlsClientAuth,
	oauth.SelfSignedTLSClientAuth: selfSignedTLSClientAuth,
}

// clientAuthNames are their names, in one order.
var clientAuthNames = names(clientAuths)

// errInvalidClient is the one answer to every client that does not authenticate, whatever is wrong: who is registered,
// suspended or expired is nobody's business (STANDARDS, section 5).
var errInvalidClient = oauth.Errorf(oauth.InvalidClient, "client authentication failed")

// The reasons that the operator sees behind errInvalidClient. Those of a method stand with it.
const (
	reasonUnknownClient   reason = "unknown_client"
	reasonClientSuspended reason = "client_disabled"
	reasonWrongMethod     reason = "wrong_method"
	reasonNoCredentials   reason = "no_credentials"
	reasonOtherClient     reason = "other_client" // two places of the request name two clients
)

// A proof says how a client has authenticated.
type proof struct {
	method string
	credential
}

// authenticate returns the client that a request comes from, as it is with the credential that it has used. Only the method that the client is registered with counts,
// and the one before it, for as long as the client changes over.
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
	presented.run, presented.remote = &slowRun{remote: r.Remote}, r.Remote
	known, fresh, err := a.directory.client(ctx, presented.clientID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, unavailable(err)
	}
	if proof, why := a.verify(ctx, known, presented); why == nil {
		return a.admit(ctx, r, known, presented, proof)
	}
	if !fresh {
		if known, err = a.directory.read(ctx, presented.clientID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, unavailable(err)
		}
	}
	// A second time for a fresh record too: who is not cached must not be told by it.
	proof, why := a.verify(ctx, known, presented)
	if why == nil {
		return a.admit(ctx, r, known, presented, proof)
	}
	r.credential = proof.id
	return nil, a.reject(ctx, r, known, presented, why)
}

// admit lets a client in whose credentials are good, unless they were good once before.
func (a *Authority) admit(ctx context.Context, r *Request, known *client, presented credentials, by proof) (*client, error) {
	if settle := clientAuths[by.method].settle; settle != nil {
		err := settle(ctx, a, known, presented)
		if why, spent := errors.AsType[reason](err); spent {
			return nil, a.reject(ctx, r, known, presented, why)
		}
		if err != nil {
			return nil, err
		}
	}
	a.uses.note(&known.noted, known.ID, by.id, r.Remote, r.Agent, known.notedSince(a.uses.now()))
	r.Outcome.Method, r.credential = by.method, by.id
	return known.with(by.credential), nil
}

// reject counts a failure and returns the one answer.
func (a *Authority) reject(ctx context.Context, r *Request, known *client, presented credentials, why error) error {
	if presented.mayBeSlow() {
		if err := a.slow.complete(ctx, presented.secret, presented.run); err != nil {
			return err
		}
	}
	if err := a.directory.sameWork(ctx, known != nil); err != nil {
		return unavailable(err)
	}
	a.failures.add(presented.clientID, r.Remote)
	return errInvalidClient.Because(why)
}

// decoy stands in for a client that is not there, so that looking at its credentials costs what it costs for one that is.
var decoy = &client{common: &common{}, own: own{
	Secrets: []secret{secretOf(store.Secret{ID: "decoy", Hash: store.HashSecret("no secret has this text, as it has no checksum")})},
}}

// verify returns how the presented credentials prove that they are the client's, or why they do not; with reasonNetwork
// also which. All methods that they could be are tried, whichever of them the client is registered with.
func (a *Authority) verify(ctx context.Context, known *client, presented credentials) (proof, error) {
	judged := known
	if known == nil {
		judged = decoy
	}
	var by proof
	why := error(reasonWrongMethod)
	for _, method := range presented.serves {
		proved, wrong := clientAuths[method].prove(ctx, a, judged, presented)
		if by.method != "" || !a.accepts(judged, method) {
			continue
		}
		if wrong == nil && !judged.covers(presented.remote, proved.limit) {
			wrong = reasonNetwork // whatever the method has looked at
		}
		if why = wrong; why == nil {
			by = proof{method, proved}
		} else if errors.Is(why, reasonNetwork) {
			by.credential = proved
		}
	}
	switch {
	case presented.flaw != "":
		return proof{}, presented.flaw
	case known == nil:
		return proof{}, reasonUnknownClient
	case why != nil:
		return by, why
	case known.Suspended:
		return proof{}, reasonClientSuspended
	}
	return by, nil
}

// accepts reports whether a client may use a method now.
func (a *Authority) accepts(client *client, method string) bool {
	return a.permits(method) &&
		(method == client.AuthMethod || method == client.FormerMethod && a.now().Before(client.FormerUntil))
}

// permits reports whether the profile allows a client authentication method.
func (a *Authority) permits(method string) bool {
	return a.profile.AuthMethods == nil || slices.Contains(a.profile.AuthMethods, method)
}

func names[V any](table map[string]V) []string {
	var all []string
	for name := range table {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
