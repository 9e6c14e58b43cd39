package registry

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// A Visit is what a client sends that registers itself, or that changes what it registered: a stranger, until its token says
// more. Its errors are a *Refused for what is its fault.
type Visit struct {
	Token     string // the bearer token
	Body      []byte // JSON
	Malformed error  // why the body could not be read, if so: whoever has a good token hears that
	Remote    string // address of the caller, with or without a port
	RequestID string
	// Admit is asked once it is known with which initial access token somebody registers; an error refuses the visit. nil
	// admits all.
	Admit func(initialTokenID string) error
}

// ClientInformation is the answer to a client that registered itself (RFC 7591, 3.2.1): what is registered, member by member.
type ClientInformation map[string]any

// A Refused is a visit that was refused: what the caller hears, and why, in a fixed word for the operator. Those who present a
// wrong token all hear the same.
type Refused struct {
	Why      string
	Answer   *oauth.Error
	Guessing bool   // the token was not one of ours: who goes on may be guessing
	Initial  string // name of the initial access token that refused, for the operator; "" if none did
}

func (r *Refused) Error() string { return r.Answer.Error() }

// Unwrap returns what the caller hears.
func (r *Refused) Unwrap() error { return r.Answer }

// The words for why a visit was refused. Those that are error codes as well are given as such.
const (
	WhyUnknownInitialToken    = "unknown_initial_token"
	WhyInitialTokenExpired    = "initial_token_expired"
	WhyInitialTokenUsedUp     = "initial_token_used_up"
	WhyInitialTokenNetwork    = "initial_token_network"
	WhyWrongRegistrationToken = "wrong_registration_token"
	WhyRegistrationSuspended  = "registration_suspended"
)

// errToken is the one answer to every token that does not count.
var errToken = oauth.Errorf(oauth.InvalidToken, "the token is not good here, or not any more")

func notGood(why string, guessing bool) error {
	return &Refused{Why: why, Answer: errToken, Guessing: guessing}
}

func usedUp(why string, initial store.InitialToken) error {
	return &Refused{Why: why, Answer: errToken, Initial: initial.Name}
}

func refused(code oauth.Code, description string) error {
	return &Refused{Why: string(code), Answer: oauth.Errorf(code, oauth.SafeText(description))}
}

// asRefused makes what is wrong with metadata the answer of RFC 7591, 3.2.2.
func asRefused(err error) error {
	if known, ours := errors.AsType[*Error](err); ours && known.Code == Invalid {
		return refused(oauth.InvalidClientMetadata, strings.TrimPrefix(known.Error(), known.Text+": "))
	}
	return err
}

// Register makes a client of whoever has an initial access token (RFC 7591, 3). The use of the token, the client and the event
// are written together, so that no two get in with the last use (CVE-2026-1035).
func (r *Registry) Register(ctx context.Context, visit Visit) (ClientInformation, error) {
	initial, err := r.admittedBy(ctx, r.store, visit)
	if err != nil {
		return nil, err
	}
	if visit.Admit != nil {
		if err := visit.Admit(initial.ID); err != nil {
			return nil, err
		}
	}
	w, err := r.readWish(ctx, visit)
	if err != nil {
		return nil, err
	}
	if w.software == "" && r.requireStatement {
		return nil, refused(oauth.InvalidSoftwareStatement, "a software_statement is required here")
	}
	id, access, secret := newID("dyn-"+w.name()), newToken(registrationPrefix), newSecret()
	var record store.Client
	err = r.change(ctx, System("registration"), ClientsWrite, func(tx transaction) (store.Event, error) {
		initial, err := r.admittedBy(ctx, tx, visit)
		if err != nil {
			return store.Event{}, err
		}
		initial.Used++
		if err := tx.InitialTokens().Put(ctx, initial); err != nil {
			return store.Event{}, err
		}
		if record, err = r.registered(ctx, tx, id, initial, w); err != nil {
			return store.Event{}, asRefused(err)
		}
		record.Registration.Hash = store.HashSecret(access.Reveal())
		if usesSecrets(record.AuthMethod) {
			record.Secrets = []store.Secret{{ID: newSecretID(), Hash: store.HashSecret(secret.Reveal()), Created: tx.now}}
		}
		event := store.Event{Action: "client.registered", Object: record.ID, Detail: registrationDetail(record, initial.Name, visit)}
		return event, tx.Clients().Insert(ctx, record)
	})
	if err != nil {
		return nil, err
	}
	information := r.information(record)
	information["registration_access_token"] = access
	if len(record.Secrets) > 0 {
		information["client_secret"] = secret
	}
	return information, nil
}

// registrationDetail describes a client and how it came to be, without what nobody decides by.
func registrationDetail(record store.Client, initial string, visit Visit) string {
	return detail(struct {
		settings
		InitialToken string `json:"initial_token,omitempty"`
		Software     string `json:"software,omitempty"`
		Remote       string `json:"remote,omitempty"`
		RequestID    string `json:"request_id,omitempty"`
	}{settingsOf(record), initial, record.Registration.Software, visit.Remote, visit.RequestID})
}

// admittedBy returns the initial access token that a visitor has, if it counts.
func (r *Registry) admittedBy(ctx context.Context, s store.Store, visit Visit) (store.InitialToken, error) {
	token, err := s.InitialTokens().Get(ctx, initialTokenID(visit.Token))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return token, err
	}
	switch same := store.SameSecret(token.Hash, visit.Token); {
	case err != nil || !same:
		return token, notGood(WhyUnknownInitialToken, true)
	case !r.moment().Before(token.Expires):
		return token, usedUp(WhyInitialTokenExpired, token)
	case token.Used >= token.MaxUses:
		return token, usedUp(WhyInitialTokenUsedUp, token)
	case !inNetworks(token.Networks, visit.Remote):
		return token, usedUp(WhyInitialTokenNetwork, token)
	}
	return token, nil
}

// registered returns the client that a visitor becomes.
func (r *Registry) registered(ctx context.Context, tx transaction, id string, initial store.InitialToken, w wish) (store.Client, error) {
	record := store.Client{
		ID: id, Name: id, Created: tx.now, Updated: tx.now,
		AuthMethod: cmp.Or(w.metadata.TokenEndpointAuthMethod, oauth.ClientSecretBasic),
		Registration: store.Registration{
			InitialToken: initial.ID, Software: w.software, FirstUse: initial.FirstUse, Idle: initial.Idle, Described: w.described,
		},
	}
	ceiling, err := r.standing(ctx, tx, initial.Grants)
	if err != nil {
		return record, err
	}
	var p problems
	if len(ceiling) == 0 {
		p.add("scope", "there is nothing left that could be had with this token")
	}
	p.allowed(record.AuthMethod, r.methodsOf(initial))
	metadata := w.metadata
	metadata.TLSClientCertificateBoundAccessTokens, metadata.DPoPBoundAccessTokens = w.bound(false, false)
	metadata.TokenTTLSeconds = p.lifetime(metadata.TokenTTLSeconds, initial.TokenTTL)
	return record, r.settle(ctx, tx, &record, metadata, p.choose(ceiling, w), p)
}

// settle puts what a visitor wants into the record of its client, with these grants, if nothing is wrong with it.
func (r *Registry) settle(ctx context.Context, tx transaction, record *store.Client, metadata oauth.ClientMetadata, grants []store.Grant, p problems) error {
	metadata.ClientName, metadata.TokenEndpointAuthMethod, metadata.Grants = record.Name, record.AuthMethod, fromGrants(grants)
	metadata = withDefaults(metadata)
	p.authentication(record, metadata, tx.now)
	if err := r.checkClient(ctx, tx, metadata, p); err != nil {
		return err
	}
	record.GrantTypes, record.Grants = metadata.GrantTypes, grants
	record.TokenTTL = time.Duration(metadata.TokenTTLSeconds) * time.Second
	if len(r.adminScopesIn(record.Grants)) > 0 { // no token is made with any; should there be one, it ends here
		return refused(oauth.InvalidClientMetadata, "nobody registers as an operator")
	}
	return nil
}

// methodsOf returns the methods that a client may have that comes with a token.
func (r *Registry) methodsOf(initial store.InitialToken) []string {
	if initial.AuthMethods == nil {
		return r.registrable
	}
	return slices.DeleteFunc(slices.Clone(initial.AuthMethods), func(method string) bool { return !slices.Contains(r.registrable, method) })
}

func (p *problems) allowed(method string, methods []string) {
	if !slices.Contains(methods, method) {
		p.add("token_endpoint_auth_method", "must be one of %s", strings.Join(methods, ", "))
	}
}

// lifetime returns how long a client's tokens live at most: what it wants, and no more than it may.
func (p *problems) lifetime(wanted int64, most time.Duration) int64 {
	seconds := int64(most / time.Second)
	if seconds > 0 && wanted > seconds {
		p.add("token_ttl_seconds", "must be 0 to %d", seconds)
	}
	return cmp.Or(wanted, seconds)
}
