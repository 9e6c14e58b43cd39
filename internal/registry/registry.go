// Package registry is where operators change clients, resources, roles and keys: every change is allowed, validated and
// put down as an event, in one transaction.
//
// It issues no token and never meets authority: they share nothing but the store. adminapi calls it for operators,
// server when it starts.
package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// Options of a Registry. Issuer, Store and Ring are required.
type Options struct {
	Issuer string // the admin API is the resource Issuer + "/admin/v1"
	Store  store.Store
	Ring   *keyring.Ring
	Now    func() time.Time // time.Now when nil
	// OperatorKey makes the first operator authenticate with a key pair, of which only the public half is kept, and get only
	// tokens that are bound to its DPoP key: what the FAPI 2.0 profile asks of every client.
	OperatorKey bool
	// Algorithms are those that the tokens of a new resource may be signed with; nil means all that jose knows.
	Algorithms []string

	Registrable      []string  // the methods that a client that registers itself may choose from; nil: AuthMethods
	Vouchers         []Voucher // whose software statements count
	RequireStatement bool      // nobody registers without one
}

// A Registry changes what the store remembers. It is safe for concurrent use. Its errors are *Error for what the caller
// can do something about; any other means that the store could not answer.
type Registry struct {
	issuer string
	admin  string // URI of the admin API
	store  store.Store
	ring   *keyring.Ring
	now    func() time.Time

	operatorKey bool
	algorithms  []string

	registrable      []string
	vouchers         []Voucher
	requireStatement bool

	etags   []string // see If
	request string   // see Once
}

// New returns a Registry.
func New(options Options) *Registry {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Algorithms == nil {
		options.Algorithms = jose.Algorithms
	}
	if options.Registrable == nil {
		options.Registrable = AuthMethods
	}
	return &Registry{
		issuer: options.Issuer, admin: AdminResource(options.Issuer),
		store: options.Store, ring: options.Ring, now: options.Now, operatorKey: options.OperatorKey, algorithms: options.Algorithms,
		registrable: options.Registrable, vouchers: options.Vouchers, requireStatement: options.RequireStatement,
	}
}

// AdminResource returns the URI of the resource that an issuer's admin API is.
func AdminResource(issuer string) string { return issuer + "/admin/v1" }

// Admin returns the URI of the resource that the admin API is.
func (r *Registry) Admin() string { return r.admin }

// moment returns the time of a change, as precise as the store keeps it.
func (r *Registry) moment() time.Time { return r.now().UTC().Truncate(time.Microsecond) }

// A transaction is what a change runs in.
type transaction struct {
	store.Store
	power oauth.Scope // the admin scopes that the actor holds
	now   time.Time
}

// change runs one change for an actor who needs a scope, and appends the event that it returns; none if the event has no
// action, because there was nothing to do. Every writing method goes through here, so that none can forget to ask or to
// tell.
func (r *Registry) change(ctx context.Context, actor Actor, scope string, do func(transaction) (store.Event, error)) error {
	now := r.moment()
	err := r.store.Update(ctx, func(tx store.Store) error {
		power, err := r.authorize(ctx, tx, actor, scope)
		if err != nil {
			return err
		}
		event, err := do(transaction{Store: tx, power: power, now: now})
		if err != nil || event.Action == "" {
			return err
		}
		return tx.Append(ctx, actor.did(event, now))
	})
	return wrap(err)
}

// read is change for looking.
func (r *Registry) read(ctx context.Context, actor Actor, scope string) error {
	_, err := r.authorize(ctx, r.store, actor, scope)
	return wrap(err)
}

// wrap says where an error comes from that is not for the caller.
func wrap(err error) error {
	if _, ours := errors.AsType[*Error](err); ours || err == nil {
		return err
	}
	return fmt.Errorf("registry: %w", err)
}

// detail returns what an event says about a change. Secrets have no place in what is given to it.
func detail(of any) string {
	data, err := json.Marshal(of, json.Deterministic(true))
	if err != nil {
		return "" // plain structs of texts, numbers and times: it cannot fail
	}
	return string(data)
}

// page cuts a list that was read one longer than asked for, and returns the key to go on behind, or "".
func page[T store.Record](records []T, limit int) ([]T, string) {
	if len(records) <= limit {
		return records, ""
	}
	return records[:limit], records[limit-1].Key()
}

// checkLimit returns how many records a list may have.
func checkLimit(limit int) (int, error) {
	switch {
	case limit == 0:
		return DefaultLimit, nil
	case limit < 0 || limit > MaxLimit:
		return 0, invalid(Problem{"limit", fmt.Sprintf("must be 1 to %d", MaxLimit)})
	}
	return limit, nil
}

// DefaultLimit and MaxLimit bound the page of a list.
const (
	DefaultLimit = 100
	MaxLimit     = 500
)
