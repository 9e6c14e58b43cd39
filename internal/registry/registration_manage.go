package registry

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// Registration returns what is registered about a client that registered itself (RFC 7592, 2.1), to whoever has its
// registration access token.
func (r *Registry) Registration(ctx context.Context, clientID string, visit Visit) (ClientInformation, error) {
	record, err := r.hostOf(ctx, r.store, clientID, visit)
	if err != nil {
		return nil, err
	}
	return r.information(record), nil
}

// UpdateRegistration replaces what a client says about itself (RFC 7592, 2.2). Whatever it says, it cannot get more than it has
// at that moment, be that what its initial access token gave or what an operator left of it; what an operator alone decides
// stays; and what it leaves out is as the answer says: what it says of itself is gone, what it may do and how it proves who it
// is stays.
func (r *Registry) UpdateRegistration(ctx context.Context, clientID string, visit Visit) (ClientInformation, error) {
	if _, err := r.hostOf(ctx, r.store, clientID, visit); err != nil {
		return nil, err
	}
	w, err := r.readWish(ctx, visit)
	if err != nil {
		return nil, err
	}
	secret, given := newSecret(), false
	var record store.Client
	err = r.change(ctx, System("registration"), ClientsWrite, func(tx transaction) (store.Event, error) {
		if record, err = r.hostOf(ctx, tx, clientID, visit); err != nil {
			return store.Event{}, err
		}
		gone := prune(&record, tx.now)
		if err := w.mayReplace(record); err != nil {
			return store.Event{}, err
		}
		method := cmp.Or(w.metadata.TokenEndpointAuthMethod, record.AuthMethod)
		if given = usesSecrets(method) && len(record.Secrets) == 0; given {
			record.Secrets = []store.Secret{{ID: newSecretID(), Hash: store.HashSecret(secret.Reveal()), Created: tx.now}}
		}
		if err := r.replace(ctx, tx, &record, w, method); err != nil {
			return store.Event{}, asRefused(err)
		}
		event := store.Event{Action: "registration.updated", Object: record.ID, Detail: registrationDetail(record, "", visit)}
		return event, errors.Join(tx.Clients().Put(ctx, record), gone.tell(ctx, tx, record.ID, tx.now))
	})
	if err != nil {
		return nil, err
	}
	information := r.information(record)
	if given {
		information["client_secret"] = secret
	}
	return information, nil
}

// EndRegistration deletes a client that registered itself (RFC 7592, 2.3): its tokens are inactive at once, and nobody ever gets
// its ID.
func (r *Registry) EndRegistration(ctx context.Context, clientID string, visit Visit) error {
	if _, err := r.hostOf(ctx, r.store, clientID, visit); err != nil {
		return err
	}
	return r.change(ctx, System("registration"), ClientsWrite, func(tx transaction) (store.Event, error) {
		record, err := r.hostOf(ctx, tx, clientID, visit)
		if err != nil {
			return store.Event{}, err
		}
		event := store.Event{Action: "client.deleted", Object: record.ID, Detail: registrationDetail(record, "", visit)}
		return event, deleteClient(ctx, tx, record.ID)
	})
}

// hostOf returns the client whose registration access token a visitor has. No client, another one's token, a client that is
// gone or never registered itself, and one that is suspended, are one answer and the same work (RFC 7592, 2; RG-09).
func (r *Registry) hostOf(ctx context.Context, s store.Store, clientID string, visit Visit) (store.Client, error) {
	var record store.Client
	err := store.ErrNotFound
	if validName(clientID) {
		record, err = s.Clients().Get(ctx, clientID)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return record, err
	}
	switch same := store.SameSecret(record.Registration.Hash, visit.Token); {
	case err != nil || !same:
		return store.Client{}, notGood(WhyWrongRegistrationToken, true)
	case record.Suspended:
		return store.Client{}, notGood(WhyRegistrationSuspended, false)
	}
	return record, nil
}

// mayReplace refuses an update that RFC 7592, 2.2 refuses, and one that leaves out who vouched for the client.
func (w *wish) mayReplace(record store.Client) error {
	for _, name := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		if w.has[name] {
			return refused(oauth.InvalidClientMetadata, name+": must not be sent back")
		}
	}
	if w.clientID != record.ID {
		return refused(oauth.InvalidClientMetadata, "client_id: must be there, and be the one that the server gave")
	}
	current := func(s store.Secret) bool { return store.SameSecret(s.Hash, w.clientSecret) }
	if w.has["client_secret"] && !slices.ContainsFunc(record.Secrets, current) {
		return refused(oauth.InvalidClientMetadata, "client_secret: must be left out, or be the current one: clients do not choose it")
	}
	if w.software != record.Registration.Software {
		// Else what somebody trusted has said of a client could be taken back by the client, or it could move under another's name.
		return refused(oauth.InvalidSoftwareStatement, "the software_statement must be there if the client registered with one, of the same issuer for the same software, and else not")
	}
	return nil
}

// replace puts what a client wants into its record. The ceiling is the record itself.
func (r *Registry) replace(ctx context.Context, tx transaction, record *store.Client, w wish, method string) error {
	var p problems
	if err := r.mayUse(ctx, tx, &p, *record, method); err != nil {
		return err
	}
	before := *record
	p.method(record, method, time.Time{}, tx.now)
	metadata := w.metadata
	for name, wanted := range map[string]struct{ is, want *bool }{
		"tls_client_certificate_bound_access_tokens": {&before.CertificateBound, w.certificateBound},
		"dpop_bound_access_tokens":                   {&before.DPoPBound, w.dpopBound},
	} {
		if *wanted.is && wanted.want != nil && !*wanted.want {
			p.add(name, "cannot be taken back")
		}
	}
	metadata.TLSClientCertificateBoundAccessTokens, metadata.DPoPBoundAccessTokens = w.bound(before.CertificateBound, before.DPoPBound)
	metadata.TokenTTLSeconds = p.lifetime(metadata.TokenTTLSeconds, before.TokenTTL)
	if method == oauth.PrivateKeyJWT {
		metadata.TokenEndpointAuthSigningAlg = cmp.Or(metadata.TokenEndpointAuthSigningAlg, before.SigningAlgorithm)
	}
	grants := before.Grants
	if len(grants) > 0 || w.has["grants"] || w.scope != "" {
		grants = p.choose(before.Grants, w)
	}
	if err := r.settle(ctx, tx, record, metadata, grants, p); err != nil {
		return err
	}
	record.Updated, record.Registration.Described = tx.now, w.described
	return freed(before, *record)
}

// mayUse refuses a method that the client has not and that its initial access token, if there still is one, does not allow.
func (r *Registry) mayUse(ctx context.Context, tx transaction, p *problems, record store.Client, method string) error {
	if method == record.AuthMethod {
		return nil
	}
	initial, err := tx.InitialTokens().Get(ctx, record.Registration.InitialToken)
	if errors.Is(err, store.ErrNotFound) {
		p.allowed(method, []string{record.AuthMethod})
		return nil
	}
	p.allowed(method, r.methodsOf(initial))
	return err
}

// freed refuses an update that would put something without a ceiling into the place of a secret or key that an operator gave
// one.
func freed(before, after store.Client) error {
	had := slices.ContainsFunc(before.Keys, func(k store.ClientKey) bool { return limited(k.Limit) }) ||
		slices.ContainsFunc(before.Secrets, func(s store.Secret) bool { return limited(s.Limit) })
	if !had {
		return nil
	}
	other := after.AuthMethod != before.AuthMethod || after.JWKSURI != before.JWKSURI || slices.ContainsFunc(after.Keys, func(k store.ClientKey) bool {
		held := slices.ContainsFunc(before.Keys, func(b store.ClientKey) bool { return b.ID == k.ID && bytes.Equal(b.Public, k.Public) })
		return !held && !limited(k.Limit) // one that takes the place of others has their ceiling; see keySet
	})
	if other {
		return invalid(Problem{"jwks", "an operator has limited what the client's credentials are good for: ask one to change them"})
	}
	return nil
}
