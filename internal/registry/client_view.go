package registry

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// settings are a client as events describe it.
type settings struct {
	oauth.ClientMetadata
	FormerMethod string    `json:"former_method,omitempty"`
	FormerUntil  time.Time `json:"former_until,omitzero"`
}

func settingsOf(record store.Client) settings {
	return settings{metadataOf(record), record.FormerMethod, record.FormerUntil}
}

// metadataOf returns the metadata that a record was made of. Keys are written anew from what is kept of them.
func metadataOf(record store.Client) oauth.ClientMetadata {
	m := oauth.ClientMetadata{
		ClientName: record.Name, TokenEndpointAuthMethod: record.AuthMethod, GrantTypes: record.GrantTypes,
		Grants: fromGrants(record.Grants), Roles: record.Roles, ResourceServerFor: record.ResourceServerFor,
		MultipleAudiences: record.MultipleAudiences, TokenTTLSeconds: int64(record.TokenTTL / time.Second), Networks: record.Networks,
		RotatesSecrets: record.RotatesSecrets, TokenReuseSeconds: int64(record.TokenReuse / time.Second),
		Claims:  claimsView(record.Claims),
		JWKSURI: record.JWKSURI, TokenEndpointAuthSigningAlg: record.SigningAlgorithm,
		TLSClientCertificateBoundAccessTokens: record.CertificateBound, DPoPBoundAccessTokens: record.DPoPBound,
	}
	if usesKeys(record.AuthMethod) || usesKeys(record.FormerMethod) {
		m.JWKS = jwksOf(record.Keys)
	}
	for _, s := range subjects {
		if s.rule == record.CertificateRule {
			*s.member(&m) = record.CertificateValue
		}
	}
	return m
}

// jwksOf writes keys as a JWK Set, nil for none.
func jwksOf(records []store.ClientKey) []byte {
	set := struct {
		Keys []jsontext.Value `json:"keys"`
	}{}
	for _, record := range records {
		key := jose.Key{ID: record.ID, Algorithm: record.Algorithm}
		var err error
		if key.Public, err = x509.ParsePKIXPublicKey(record.Public); err != nil {
			continue // checked before it was kept
		}
		if len(record.Certificate) > 0 {
			key.Certificate, _ = x509.ParseCertificate(record.Certificate) // checked before, too
		}
		if data, err := jose.MarshalPublic(key); err == nil {
			set.Keys = append(set.Keys, data)
		}
	}
	if len(set.Keys) == 0 {
		return nil
	}
	data, _ := json.Marshal(set) // of JSON that was just written
	return data
}

// views returns what an operator sees of clients now.
func (r *Registry) views(ctx context.Context, s store.Store, records []store.Client) ([]Client, error) {
	ids := make([]string, 0, len(records))
	for _, record := range records {
		ids = append(ids, record.ID)
	}
	uses, err := usesOf(ctx, s, ids)
	if err != nil {
		return nil, err
	}
	clients := make([]Client, 0, len(records))
	for _, record := range records {
		clients = append(clients, r.viewWith(record, uses[record.ID]))
	}
	return clients, nil
}

// usesOf returns the last uses of clients, by their IDs.
func usesOf(ctx context.Context, s store.Store, ids []string) (map[string][]store.Use, error) {
	of := map[string][]store.Use{}
	for some := range slices.Chunk(ids, MaxLimit) {
		uses, err := s.Uses(ctx, some...)
		if err != nil {
			return nil, err
		}
		for _, use := range uses {
			of[use.ClientID] = append(of[use.ClientID], use)
		}
	}
	return of, nil
}

func (r *Registry) etag(record store.Client) string {
	prune(&record, r.moment())
	return clientETag(record)
}

// viewWith is views of one client, whose uses are known.
func (r *Registry) viewWith(record store.Client, uses []store.Use) Client {
	prune(&record, r.moment())
	return clientView(record, uses)
}

// closeView is what an operator sees of one client: with the scopes that it may have, and when it last got each.
func (r *Registry) closeView(ctx context.Context, s store.Store, record store.Client) (Client, error) {
	uses, err := s.Uses(ctx, record.ID)
	if err != nil {
		return Client{}, err
	}
	client := r.viewWith(record, uses)
	client.ETag = r.etag(record)
	client.ScopeUses, err = scopeUses(ctx, s, record, uses)
	return client, err
}

func clientView(record store.Client, uses []store.Use) Client {
	client := Client{
		ID: record.ID, ClientMetadata: metadataOf(record), FormerMethod: record.FormerMethod, FormerUntil: record.FormerUntil,
		Suspended: record.Suspended, Created: record.Created, Updated: record.Updated,
		Registration: registrationView(record, uses),
	}
	for _, secret := range record.Secrets {
		info := secretInfo(secret, uses)
		if !usesSecrets(record.AuthMethod) && usesSecrets(record.FormerMethod) && (info.Expires.IsZero() || record.FormerUntil.Before(info.Expires)) {
			info.Expires = record.FormerUntil
		}
		client.Secrets = append(client.Secrets, info)
	}
	for _, key := range record.Keys {
		client.Keys = append(client.Keys, keyOf(key, uses))
	}
	for _, use := range uses {
		if use.Last.After(client.LastUsed) {
			client.LastUse = lastUseOf(use)
		}
		remote := record.JWKSURI != "" && strings.HasPrefix(use.Credential, "kid:")
		if remote || record.CertificateRule != "" && use.Credential == "certificate" {
			client.Uses = append(client.Uses, KeyUse{Credential: use.Credential, LastUse: lastUseOf(use)})
		}
	}
	return client
}

func secretInfo(record store.Secret, uses []store.Use) SecretInfo {
	return SecretInfo{
		ID: record.ID, Name: record.Name, Created: record.Created, NotBefore: record.NotBefore, Expires: record.Expires,
		Rotated: record.Rotated, Limit: limitView(record.Limit), LastUse: lastUse(uses, record.ID, record.Created),
	}
}

func keyOf(record store.ClientKey, uses []store.Use) ClientKey {
	key := ClientKey{
		ID: record.ID, Algorithm: record.Algorithm, Thumbprint: thumbprint(record), Created: record.Created,
		NotBefore: record.NotBefore, Expires: record.Expires, Limit: limitView(record.Limit),
		LastUse: lastUse(uses, record.ID, record.Created),
	}
	if certificate, err := x509.ParseCertificate(record.Certificate); err == nil {
		key.CertificateSubject, key.CertificateExpires = certificate.Subject.String(), certificate.NotAfter.UTC()
	}
	return key
}

// thumbprint returns a key's thumbprint (RFC 7638), which no two keys share.
func thumbprint(record store.ClientKey) string {
	public, err := x509.ParsePKIXPublicKey(record.Public)
	if err != nil {
		return "" // checked before it was kept
	}
	text, _ := jose.Thumbprint(public) // of a kind that it knows
	return text
}

// lastUse returns the last use of a credential. One from before the credential was made is that of another, which had the
// same ID.
func lastUse(uses []store.Use, id string, created time.Time) LastUse {
	at := slices.IndexFunc(uses, func(u store.Use) bool { return u.Credential == id })
	if at < 0 || uses[at].Last.Before(created) {
		return LastUse{}
	}
	return lastUseOf(uses[at])
}

func lastUseOf(use store.Use) LastUse {
	return LastUse{LastUsed: use.Last, LastUsedFrom: use.Remote, LastUsedBy: use.Agent}
}
