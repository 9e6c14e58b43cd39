package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/admin/wire"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// Bounds on initial access tokens. How many clients there can be that nobody uses is the sum of what the tokens allow: each
// allows a number, and each client has a time to be used in.
const (
	maxTokenUses     = 10_000
	defaultTokenLife = 7 * 24 * time.Hour
	maxTokenLife     = 366 * 24 * time.Hour
	defaultFirstUse  = 24 * time.Hour
	maxFirstUse      = 30 * 24 * time.Hour
	defaultIdle      = 90 * 24 * time.Hour
	maxIdle          = 366 * 24 * time.Hour // less than store.KeepUses: else a use could be forgotten before it counts no more
	shortestLife     = time.Minute
)

const (
	initialPrefix      = "writ_iat_"
	registrationPrefix = "writ_rat_"
)

// newToken returns a token of 256 random bits.
func newToken(prefix string) Secret {
	random := make([]byte, 32)
	rand.Read(random)
	return withSum(prefix, random)
}

// initialTokenID returns the ID of an initial access token, by which it is found: what it is called tells nothing about it.
func initialTokenID(token string) string {
	sum := sha256.Sum256([]byte("ID of " + token))
	return idEncoding.EncodeToString(sum[:])[:16]
}

// CreateInitialToken makes a token with which clients register themselves, with no more than it is given. It can never give
// admin scopes: nobody registers as an operator, whoever made the token.
func (r *Registry) CreateInitialToken(ctx context.Context, actor Actor, settings InitialTokenSettings) (NewInitialToken, error) {
	once := r.once("create initial token", actor, r.request)
	var text Secret
	var record store.InitialToken
	err := r.change(ctx, actor, ClientsWrite, func(tx transaction) (store.Event, error) {
		if again, err := once.again(ctx, tx, settings, tx.now); again || err != nil {
			if err == nil {
				record, text, err = once.tokenMadeBefore(ctx, tx, settings.Name)
			}
			return store.Event{}, err
		}
		wanted := tokenDefaults(settings, tx.now)
		if err := r.checkInitialToken(ctx, tx, wanted); err != nil {
			return store.Event{}, err
		}
		record = initialTokenRecord(wanted, tx.now)
		text = once.initialToken(record)
		record.ID, record.Hash = initialTokenID(text.Reveal()), store.HashSecret(text.Reveal())
		_, err := findInitialToken(ctx, tx, record.Name)
		if err == nil {
			return store.Event{}, conflict("an initial access token named %s exists already", record.Name)
		}
		if !errors.Is(err, NotFound) {
			return store.Event{}, err
		}
		event := store.Event{Action: "initial_token.created", Object: record.ID, Detail: detail(initialTokenView(record))}
		return event, tx.InitialTokens().Insert(ctx, record)
	})
	if err != nil {
		return NewInitialToken{}, err
	}
	return NewInitialToken{InitialToken: initialTokenView(record), Token: text}, nil
}

func tokenDefaults(s InitialTokenSettings, now time.Time) InitialTokenSettings {
	s.MaxUses = cmp.Or(s.MaxUses, 1)
	s.FirstUseSeconds = cmp.Or(s.FirstUseSeconds, int64(defaultFirstUse/time.Second))
	s.IdleSeconds = cmp.Or(s.IdleSeconds, int64(defaultIdle/time.Second))
	if s.Expires.IsZero() {
		s.Expires = now.Add(defaultTokenLife)
	}
	s.Expires, s.Networks = s.Expires.UTC().Truncate(time.Microsecond), plainNetworks(s.Networks)
	return s
}

func (r *Registry) checkInitialToken(ctx context.Context, tx transaction, s InitialTokenSettings) error {
	var named []string
	for _, grant := range s.Grants {
		named = append(named, grant.Resource)
	}
	registered, err := lookUp(ctx, tx, named, nil)
	if err != nil {
		return err
	}
	var p problems
	p.name("name", s.Name)
	p.grants(s.Grants, registered.resources)
	if len(s.Grants) == 0 {
		p.add("grants", "names nothing that a client could ask for")
	}
	if i := slices.IndexFunc(s.Grants, func(g oauth.Grant) bool { return g.Resource == r.admin }); i >= 0 {
		p.add(at("grants", i)+".resource", "is the admin API: nobody registers as an operator")
	}
	if p.unique("auth_methods", s.AuthMethods, len(r.registrable)) {
		for i, method := range s.AuthMethods {
			if !slices.Contains(r.registrable, method) {
				p.add(at("auth_methods", i), "must be one of %s", strings.Join(r.registrable, ", "))
			}
		}
	}
	p.ttl("token_ttl_seconds", s.TokenTTLSeconds)
	p.networks("networks", s.Networks)
	if s.MaxUses < 1 || s.MaxUses > maxTokenUses {
		p.add("max_uses", "must be 1 to %d", maxTokenUses)
	}
	if !s.Expires.After(tx.now) || s.Expires.After(tx.now.Add(maxTokenLife)) {
		p.add("expires", "must be ahead, and at most 366 days")
	}
	p.span("first_use_seconds", s.FirstUseSeconds, maxFirstUse)
	p.span("idle_seconds", s.IdleSeconds, maxIdle)
	return invalid(p...)
}

func (p *problems) span(field string, seconds int64, most time.Duration) {
	if seconds < int64(shortestLife/time.Second) || seconds > int64(most/time.Second) {
		p.add(field, "must be %d to %d", shortestLife/time.Second, most/time.Second)
	}
}

// InitialTokens returns initial access tokens in the order of their IDs, up to limit of them, behind the one with the ID after;
// and the ID to go on behind, "" at the end.
func (r *Registry) InitialTokens(ctx context.Context, actor Actor, after string, limit int) ([]InitialToken, string, error) {
	if err := r.read(ctx, actor, ClientsRead); err != nil {
		return nil, "", err
	}
	limit, err := checkLimit(limit)
	if err != nil {
		return nil, "", err
	}
	if after != "" && !validName(after) {
		return nil, "", invalid(Problem{"after", "is not the ID of an initial access token"})
	}
	records, err := r.store.InitialTokens().List(ctx, after, limit+1)
	if err != nil {
		return nil, "", wrap(err)
	}
	records, next := page(records, limit)
	tokens := make([]InitialToken, 0, len(records))
	for _, record := range records {
		tokens = append(tokens, initialTokenView(record))
	}
	return tokens, next, nil
}

// InitialToken returns an initial access token by ID or name.
func (r *Registry) InitialToken(ctx context.Context, actor Actor, nameOrID string) (InitialToken, error) {
	if err := r.read(ctx, actor, ClientsRead); err != nil {
		return InitialToken{}, err
	}
	record, err := findInitialToken(ctx, r.store, nameOrID)
	return initialTokenView(record), wrap(err)
}

// RevokeInitialToken removes an initial access token: nobody registers with it from now on. The clients that did stay what
// they are.
func (r *Registry) RevokeInitialToken(ctx context.Context, actor Actor, nameOrID string) error {
	return r.change(ctx, actor, ClientsWrite, func(tx transaction) (store.Event, error) {
		record, err := findInitialToken(ctx, tx, nameOrID)
		if err != nil {
			return store.Event{}, err
		}
		event := store.Event{Action: "initial_token.revoked", Object: record.ID, Detail: detail(initialTokenView(record))}
		return event, tx.InitialTokens().Delete(ctx, record.ID)
	})
}

// findInitialToken returns a token by ID or name. There are few.
func findInitialToken(ctx context.Context, s store.Store, nameOrID string) (store.InitialToken, error) {
	var found store.InitialToken
	err := store.Each(ctx, s.InitialTokens(), func(record store.InitialToken) error {
		if record.ID == nameOrID || found.ID == "" && record.Name == nameOrID {
			found = record
		}
		return nil
	})
	if err == nil && found.ID == "" {
		err = notFound("initial access token", nameOrID)
	}
	return found, err
}

func initialTokenRecord(s InitialTokenSettings, now time.Time) store.InitialToken {
	return store.InitialToken{
		Name: s.Name, Grants: toGrants(s.Grants), AuthMethods: s.AuthMethods, TokenTTL: time.Duration(s.TokenTTLSeconds) * time.Second,
		Networks: s.Networks, FirstUse: time.Duration(s.FirstUseSeconds) * time.Second, Idle: time.Duration(s.IdleSeconds) * time.Second,
		MaxUses: s.MaxUses, Expires: s.Expires, Created: now,
	}
}

func initialTokenView(t store.InitialToken) InitialToken {
	return InitialToken{
		ID: t.ID, Used: t.Used, Created: t.Created,
		InitialTokenSettings: wire.InitialTokenSettings{
			Name: t.Name, Grants: fromGrants(t.Grants), AuthMethods: t.AuthMethods, TokenTTLSeconds: int64(t.TokenTTL / time.Second),
			Networks: t.Networks, MaxUses: t.MaxUses, Expires: t.Expires,
			FirstUseSeconds: int64(t.FirstUse / time.Second), IdleSeconds: int64(t.Idle / time.Second),
		},
	}
}
