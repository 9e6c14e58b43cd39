package registry

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/writ-auth/writ/admin/wire"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// defaultTokenTTL is the life of a resource's tokens when nothing is said (PRODUCT, Defaults).
const defaultTokenTTL = 5 * 60 // seconds

// Bounds on a resource.
const (
	maxURI            = 512
	maxResourceScopes = 256
	maxScope          = 128
)

// CreateResource registers a resource, and makes the first key of its algorithm if there is none.
func (r *Registry) CreateResource(ctx context.Context, actor Actor, settings ResourceSettings) (Resource, error) {
	settings = resourceDefaults(settings)
	if err := r.read(ctx, actor, ResourcesWrite); err != nil {
		return Resource{}, err
	}
	if err := invalid(r.validateResource(settings)...); err != nil {
		return Resource{}, err
	}
	// Ahead of the transaction: RSA keys take their time, and a resource without a key would be of no use.
	if err := r.ensureKey(ctx, settings); err != nil {
		return Resource{}, wrap(err)
	}
	var record store.Resource
	err := r.change(ctx, actor, ResourcesWrite, func(tx transaction) (store.Event, error) {
		again, err := r.once("create resource", actor, r.request).again(ctx, tx, settings, tx.now)
		if err != nil {
			return store.Event{}, err
		}
		if again {
			if record, err = tx.Resources().Get(ctx, settings.URI); errors.Is(err, store.ErrNotFound) {
				err = errGone
			}
			return store.Event{}, err
		}
		record = resourceRecord(settings, tx.now)
		err = tx.Resources().Insert(ctx, record)
		if errors.Is(err, store.ErrExists) {
			err = conflict("the resource %s exists already", settings.URI)
		}
		return store.Event{Action: "resource.created", Object: settings.URI, Detail: detail(settings)}, err
	})
	if err != nil {
		return Resource{}, err
	}
	return resourceView(record), nil
}

func (r *Registry) ensureKey(ctx context.Context, settings ResourceSettings) error {
	if settings.Format == store.FormatOpaque {
		return r.ring.Ensure(ctx, keyring.Sealing)
	}
	return r.ring.Ensure(ctx, settings.Algorithm)
}

// Resource returns a resource.
func (r *Registry) Resource(ctx context.Context, actor Actor, uri string) (Resource, error) {
	if err := r.read(ctx, actor, ResourcesRead); err != nil {
		return Resource{}, err
	}
	record, err := r.store.Resources().Get(ctx, uri)
	if errors.Is(err, store.ErrNotFound) {
		err = notFound("resource", uri)
	}
	return resourceView(record), wrap(err)
}

// Resources returns resources in the order of their URIs, up to limit of them, behind after; and the URI to go on behind,
// "" at the end.
func (r *Registry) Resources(ctx context.Context, actor Actor, after string, limit int) ([]Resource, string, error) {
	if err := r.read(ctx, actor, ResourcesRead); err != nil {
		return nil, "", err
	}
	limit, err := checkLimit(limit)
	if err != nil {
		return nil, "", err
	}
	if after != "" && !plainURI(after) {
		return nil, "", invalid(Problem{"after", "is not the identifier of a resource"})
	}
	records, err := r.store.Resources().List(ctx, after, limit+1)
	if err != nil {
		return nil, "", wrap(err)
	}
	records, next := page(records, limit)
	resources := make([]Resource, 0, len(records))
	for _, record := range records {
		resources = append(resources, resourceView(record))
	}
	return resources, next, nil
}

// DeleteResource removes a resource that no grant, no role and no resource server names.
func (r *Registry) DeleteResource(ctx context.Context, actor Actor, uri string) error {
	return r.change(ctx, actor, ResourcesWrite, func(tx transaction) (store.Event, error) {
		if uri == r.admin {
			return store.Event{}, conflict("the admin API's own resource cannot be deleted")
		}
		if _, err := r.ownResource(ctx, tx, uri); err != nil {
			return store.Event{}, err
		}
		if err := unusedResource(ctx, tx, uri); err != nil {
			return store.Event{}, err
		}
		return store.Event{Action: "resource.deleted", Object: uri}, tx.Resources().Delete(ctx, uri)
	})
}

func unusedResource(ctx context.Context, s store.Store, uri string) error {
	names := func(grant store.Grant) bool { return grant.Resource == uri }
	err := store.Each(ctx, s.Roles(), func(role store.Role) error {
		if slices.ContainsFunc(role.Grants, names) {
			return conflict("the role %s names the resource", role.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return store.Each(ctx, s.Clients(), func(client store.Client) error {
		if slices.ContainsFunc(client.Grants, names) || slices.Contains(client.ResourceServerFor, uri) {
			return conflict("the client %s names the resource", client.Name)
		}
		return nil
	})
}

func resourceDefaults(settings ResourceSettings) ResourceSettings {
	if settings.Format == "" {
		settings.Format = store.FormatJWT
	}
	if settings.Algorithm == "" {
		settings.Algorithm = jose.ES256
	}
	if settings.TokenTTLSeconds == 0 {
		settings.TokenTTLSeconds = defaultTokenTTL
	}
	return settings
}

// validateResource returns everything that is wrong with settings.
func (r *Registry) validateResource(settings ResourceSettings) problems {
	var p problems
	if text := badURI(settings.URI); text != "" {
		p.add("uri", "%s", text)
	}
	if settings.URI == r.issuer {
		// A token with the issuer as audience could pass for a client assertion (RFC 7523bis).
		p.add("uri", "is the issuer")
	}
	p.text("name", settings.Name)
	p.resourceScopes(settings.Scopes)
	if settings.Format != store.FormatJWT && settings.Format != store.FormatOpaque {
		p.add("format", "must be %s or %s", store.FormatJWT, store.FormatOpaque)
	}
	if !slices.Contains(r.algorithms, settings.Algorithm) {
		p.add("algorithm", "must be one of %s", strings.Join(r.algorithms, ", "))
	}
	p.ttl("token_ttl_seconds", settings.TokenTTLSeconds)
	return p
}

func (p *problems) resourceScopes(scopes []Scope) {
	if len(scopes) > maxResourceScopes {
		p.add("scopes", "has more than %d values", maxResourceScopes)
		return
	}
	for i, scope := range scopes {
		field := at("scopes", i)
		if !oauth.ValidScopeToken(scope.Name) || len(scope.Name) > maxScope {
			p.add(field+".name", "must be 1 to %d printable ASCII characters without space, quote and backslash", maxScope)
		}
		if slices.ContainsFunc(scopes[:i], func(s Scope) bool { return s.Name == scope.Name }) {
			p.add(field+".name", "is there twice")
		}
		p.text(field+".description", scope.Description)
	}
}

// plainURI reports whether a URI is short enough, and of characters that may stand in a header as they are.
func plainURI(uri string) bool { return oauth.ValidScopeToken(uri) && len(uri) <= maxURI }

// badURI returns what is wrong with the identifier of a resource (RFC 8707, 2), or "". URIs are compared byte by byte, so
// only one spelling is let in.
func badURI(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case !plainURI(uri) || err != nil:
		return "is not a URI of at most 512 printable ASCII characters"
	case !u.IsAbs():
		return "is not absolute"
	case strings.Contains(uri, "#"):
		return "has a fragment"
	case strings.Contains(uri, "?"):
		return "has a query"
	case u.User != nil:
		return "has a user name"
	case (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() == "":
		return "has no host"
	case u.String() != uri || u.Host != strings.ToLower(u.Host):
		return "is not in normal form: scheme and host are lower case"
	}
	return ""
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

func resourceRecord(settings ResourceSettings, now time.Time) store.Resource {
	record := store.Resource{
		URI: settings.URI, Name: settings.Name, Format: settings.Format, Algorithm: settings.Algorithm,
		TokenTTL:          time.Duration(settings.TokenTTLSeconds) * time.Second,
		MultipleAudiences: settings.MultipleAudiences, Created: now, Updated: now,
	}
	for _, scope := range settings.Scopes {
		record.Scopes = append(record.Scopes, store.Scope(scope))
	}
	return record
}

func resourceView(record store.Resource) Resource {
	resource := Resource{
		ID: wire.ResourceID(record.URI),
		ResourceSettings: ResourceSettings{
			URI: record.URI, Name: record.Name, Scopes: []Scope{}, Format: record.Format, Algorithm: record.Algorithm,
			TokenTTLSeconds: int64(record.TokenTTL / time.Second), MultipleAudiences: record.MultipleAudiences,
		},
		Created: record.Created, Updated: record.Updated,
	}
	for _, scope := range record.Scopes {
		resource.Scopes = append(resource.Scopes, Scope(scope))
	}
	resource.ETag = etagOf(resource)
	return resource
}
