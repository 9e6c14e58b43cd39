package authority

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// MaxStale is how long what was known lately goes on being served while the store cannot be read at all (SECURITY, 6.2).
const MaxStale = 15 * time.Minute

// maxAge is how old the copy in memory may be. It is a promise: a change counts on every node within a second.
const maxAge = time.Second

// How long a request waits for a store that does not answer, how long one does that could do without the answer, where the last
// answer came at once and where it did not, and how long after that no other such request waits: a database that hangs, or is slow, must not make the callers slow whom it is not
// needed for (SECURITY, drills R09 and R14).
const (
	askTimeout = time.Second
	patience   = 100 * time.Millisecond
	atOnce     = 50 * time.Millisecond
	impatience = 10 * time.Millisecond
	retryPause = 300 * time.Millisecond
)

// A directory is the copy in memory of what decisions are made from: all resources and roles, and the clients seen
// lately. Every entry knows the generation of the store that it was read at, and counts only at that generation.
type directory struct {
	store   store.Store
	now     func() time.Time
	began   time.Time
	clients *roster
	learn   func(store.Client) // hears of every client that is read

	turn    chan struct{} // holds one value while somebody reads the catalog
	catalog atomic.Pointer[catalog]
	failed  atomic.Pointer[time.Time] // when the last reading failed; nil if it did not
	took    atomic.Int64              // how long the last reading took, in nanoseconds
}

// A catalog is one reading of all resources and roles.
type catalog struct {
	generation int64
	readAt     time.Time // when the generation was last seen to be this one
	resources  map[string]store.Resource
	roles      map[string]store.Role
	anyClient  string // the ID of some client; see sameWork
}

// A client is what decisions need of a stored client, with what its grants and roles come to. There are many, each for a moment:
// what is large is shared (shape), and it has nothing that no decision needs.
type client struct {
	*common
	own

	generation int64
	grants     map[string]*effective // by resource
	keys       []clientKey
	rule       *pop.CertificateRule // which certificates are the client's; nil: none
	limit      *limit               // the ceiling that this is the client under; nil: all that it is

	*kept
}

// effective is what a client may have of one resource.
type effective struct {
	resource store.Resource
	scopes   oauth.Scope
	defaults oauth.Scope
	roles    []string               // names, in the client's order
	bundles  map[string]oauth.Scope // what each of the roles comes to at the resource
	claims   string                 // static ones, as they stand in a token: members of an object, without its braces
	changed  time.Time              // when one of the roles was, last
}

func newDirectory(s store.Store, now func() time.Time, memory int) *directory {
	return &directory{store: s, now: now, began: now(), clients: newRoster(memory), learn: func(store.Client) {}, turn: make(chan struct{}, 1)}
}

// poll looks whether anything changed and, if so, reads resources and roles again.
func (d *directory) poll(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("authority: %w", ctx.Err())
	}
	defer func() { <-d.turn }()
	return d.refresh(ctx)
}

// refresh is poll for who has the turn.
func (d *directory) refresh(ctx context.Context) (err error) {
	// Taken before the reading: an entry must never look younger than it is.
	next, began := catalog{readAt: d.now()}, time.Now()
	defer func() { // the result is named for this
		d.took.Store(int64(time.Since(began)))
		if err == nil {
			d.failed.Store(nil)
			return
		}
		d.noteFailure(next.readAt)
	}()
	if next.generation, err = d.store.Generation(ctx); err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	if last := d.catalog.Load(); last != nil && last.generation == next.generation {
		next.resources, next.roles, next.anyClient = last.resources, last.roles, last.anyClient
		d.catalog.Store(&next)
		return nil
	}
	if next.resources, err = readAll(ctx, d.store.Resources()); err != nil {
		return err
	}
	if next.roles, err = readAll(ctx, d.store.Roles()); err != nil {
		return err
	}
	some, err := d.store.Clients().List(ctx, "", 1)
	if err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	if len(some) > 0 {
		next.anyClient = some[0].ID
	}
	d.catalog.Store(&next)
	return nil
}

func readAll[T store.Record](ctx context.Context, table store.Table[T]) (map[string]T, error) {
	all := map[string]T{}
	err := store.Each(ctx, table, func(record T) error {
		all[record.Key()] = record
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	return all, nil
}

// current returns the catalog if it is at most a second old, and reads it anew otherwise. If the store cannot be read,
// what is known counts for a while, and at most one request at a time waits for the store.
func (d *directory) current(ctx context.Context) (*catalog, error) {
	known := d.catalog.Load()
	age := d.now().Sub(known.readAt)
	if age <= maxAge {
		return known, nil
	}
	err := d.renew(ctx, age <= MaxStale)
	if known = d.catalog.Load(); err == nil || d.now().Sub(known.readAt) <= MaxStale {
		return known, nil
	}
	return nil, err
}

// errAway is why the store was not even asked.
var errAway = errors.New("authority: the store did not answer a moment ago")

// renew reads the catalog, unless somebody else does so first. Who can do without waits for a moment only, and not at all when
// somebody has waited in vain just now. The reading goes on all the same, and without the request's own context: a caller who
// hangs up, or goes on, must not make the store look as if it were away, nor cost it a connection.
func (d *directory) renew(ctx context.Context, canDoWithout bool) error {
	ctx = context.WithoutCancel(ctx)
	wait := askTimeout
	if canDoWithout {
		if wait = patience; time.Duration(d.took.Load()) > atOnce {
			wait = impatience
		}
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := d.takeTurn(waiting, canDoWithout); err != nil {
		return err
	}
	if d.now().Sub(d.catalog.Load().readAt) <= maxAge {
		<-d.turn
		return nil
	}
	if failed := d.failed.Load(); canDoWithout && failed != nil && d.now().Sub(*failed) < retryPause {
		<-d.turn
		return errAway
	}
	read := make(chan error, 1)
	go func() {
		defer func() { <-d.turn }()
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		read <- d.refresh(asking)
	}()
	select {
	case err := <-read:
		return err
	case <-waiting.Done():
		d.noteFailure(d.now())
		return errAway
	}
}

// takeTurn waits for who reads the catalog now; not at all where the caller can do without and the last reading failed, or
// lasts.
func (d *directory) takeTurn(waiting context.Context, canDoWithout bool) error {
	if canDoWithout && d.failed.Load() != nil {
		select {
		case d.turn <- struct{}{}:
			return nil
		default:
			return errAway
		}
	}
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-waiting.Done():
		d.noteFailure(d.now())
		return errAway
	}
}

// noteFailure lets nobody wait for a while who can do without.
func (d *directory) noteFailure(at time.Time) { d.failed.Store(&at) }

// client returns a client, and whether it was read from the store just now. For one that was seen lately there is no
// round trip. It returns store.ErrNotFound, and nil, for one that does not exist.
func (d *directory) client(ctx context.Context, id string) (known *client, fresh bool, err error) {
	catalog, err := d.current(ctx)
	if err != nil {
		return nil, false, err
	}
	cached := d.clients.find(id, catalog)
	if cached != nil && cached.generation == catalog.generation {
		d.confirm(cached, catalog.readAt)
		return cached, false, nil
	}
	// What changed since is not known, and may be this client: it counts no longer than a catalog that cannot be read.
	lately := cached != nil && d.now().Sub(d.began)-time.Duration(cached.confirmed.Load()) <= MaxStale
	away := d.now().Sub(catalog.readAt) > maxAge // current has tried, and has checked that what is known may still be served
	if away && lately {
		return cached, false, nil
	}
	known, err = d.read(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) && lately {
		return cached, false, nil
	}
	return known, true, err
}

// confirm notes that the store said the same at a moment.
func (d *directory) confirm(known *client, at time.Time) {
	if age := int64(at.Sub(d.began)); known.confirmed.Load() < age {
		known.confirmed.Store(age)
	}
}

// read reads a client from the store.
func (d *directory) read(ctx context.Context, id string) (*client, error) {
	known, _, err := d.readWhole(ctx, id)
	return known, err
}

// readWhole is read, with all that the store says of the client.
func (d *directory) readWhole(ctx context.Context, id string) (*client, store.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	// The generation is taken before the reading: if the client changes in between, the entry is already out of date.
	catalog, asked := d.catalog.Load(), d.now()
	record, err := d.store.Clients().Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		d.clients.forget(id)
	}
	if err != nil {
		return nil, record, err
	}
	d.learn(record)
	known := d.clients.keep(record, catalog)
	d.confirm(known, asked)
	return known, record, nil
}

// sameWork reads, after a client was found or not, one that does not exist or one that does: a refusal always costs one of
// each, so that its time does not tell who is registered (CVE-2026-41263). The copy in memory is asked as well.
func (d *directory) sameWork(ctx context.Context, found bool) error {
	id, catalog := "-", d.catalog.Load()
	if !found && catalog.anyClient != "" {
		id = catalog.anyClient
	}
	d.clients.find(id, catalog)
	if _, err := d.read(ctx, id); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}

// effective adds up what a client's own grants and its roles allow. Grants for a resource that is gone, or scopes that it
// no longer knows, come to nothing; so does a resource whose static claims cannot be read.
func (c *catalog) effective(record store.Client) map[string]*effective {
	sum := map[string]*effective{}
	add := func(grant store.Grant, role string) {
		resource, exists := c.resources[grant.Resource]
		if !exists {
			return
		}
		of := sum[grant.Resource]
		if of == nil {
			of = &effective{resource: resource, bundles: map[string]oauth.Scope{}}
			sum[grant.Resource] = of
		}
		of.scopes = union(of.scopes, resource, grant.Scopes)
		of.defaults = union(of.defaults, resource, grant.Defaults)
		if role == "" {
			return
		}
		of.changed = later(of.changed, c.roles[role].Updated)
		if !slices.Contains(of.roles, role) {
			of.roles = append(of.roles, role)
		}
		of.bundles[role] = union(of.bundles[role], resource, grant.Scopes)
	}
	for _, grant := range record.Grants {
		add(grant, "")
	}
	for _, name := range record.Roles {
		for _, grant := range c.roles[name].Grants {
			add(grant, name)
		}
	}
	if record.Claims != "" || slices.ContainsFunc(record.Grants, func(grant store.Grant) bool { return grant.Claims != "" }) {
		addStatic(sum, record)
	}
	return sum
}

func union(have oauth.Scope, resource store.Resource, scopes []string) oauth.Scope {
	for _, scope := range scopes {
		if !have.Has(scope) && knows(resource, scope) {
			have = append(have, scope)
		}
	}
	return have
}

func knows(resource store.Resource, scope string) bool {
	return slices.ContainsFunc(resource.Scopes, func(s store.Scope) bool { return s.Name == scope })
}
