package authority

import (
	"net/netip"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// reasonNetwork is why a credential that is good proves nothing: the request comes from outside of the client's networks, or
// of those of the credential. To the caller it is a wrong one.
const reasonNetwork reason = "network"

// A credential is one that was proved.
type credential struct {
	id    string
	limit *limit
}

// A limit is the ceiling that a credential has of its own, read once with its record. nil is none.
type limit struct {
	record   store.Limit
	lifetime time.Duration  // of a token, at most; 0: no ceiling
	scopes   oauth.Scope    // none: all that the client has
	networks []netip.Prefix // none: from wherever the client may ask
	client   *client        // the client as it is with this credential: its grants are cut down
}

// limitOf reads a ceiling.
func limitOf(record store.Limit) *limit {
	if record.TokenTTL == 0 && len(record.Scopes) == 0 && len(record.Networks) == 0 {
		return nil
	}
	return &limit{record: record, lifetime: record.TokenTTL, scopes: record.Scopes, networks: networksOf(record.Networks)}
}

// networksOf reads networks. What cannot be read holds no address, and does not open the others: a damaged record lets fewer in.
func networksOf(texts []string) []netip.Prefix {
	var networks []netip.Prefix
	for _, text := range texts {
		network, _ := netip.ParsePrefix(text) // the zero Prefix contains nothing
		networks = append(networks, network)
	}
	return networks
}

// readLimits makes the client as it is under each ceiling of its credentials. What a grant sees of the client is what the credential leaves of
// it, so that none can forget to ask.
func (c *client) readLimits() {
	for i := range c.Secrets {
		if of := c.Secrets[i].limit; of != nil {
			of.client = c.under(of)
		}
	}
	for i := range c.keys {
		if of := c.keys[i].limit; of != nil {
			of.client = c.under(of)
		}
	}
}

// under returns the client as it is below a ceiling. What a role comes to stays whole: a token that has only a part of it must
// not show the role (see mayShow).
func (c *client) under(of *limit) *client {
	less := *c
	less.limit = of
	if len(of.scopes) == 0 {
		return &less
	}
	keep := func(scopes oauth.Scope) oauth.Scope {
		return slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool { return !of.scopes.Has(scope) })
	}
	less.grants = map[string]*effective{}
	for uri, whole := range c.grants {
		part := *whole
		part.scopes, part.defaults = keep(whole.scopes), keep(whole.defaults)
		less.grants[uri] = &part
	}
	return &less
}

// with returns the client as it is with a credential.
func (c *client) with(by credential) *client {
	if by.limit == nil {
		return c
	}
	return by.limit.client
}

// covers reports whether a caller's address is one that the client, and a credential of it, may be used from.
func (c *client) covers(remote string, of *limit) bool {
	return within(c.networks, remote) && (of == nil || within(of.networks, remote))
}

// within reports whether an address is in one of the networks; without networks each is. One that cannot be read is in none.
func within(networks []netip.Prefix, remote string) bool {
	if len(networks) == 0 {
		return true
	}
	address := parseAddress(remote)
	return slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(address) })
}

// allows reports whether a scope is below the ceiling.
func (l *limit) allows(scope string) bool {
	return l == nil || len(l.scopes) == 0 || l.scopes.Has(scope)
}

// hold keeps what a grant has decided below the ceiling of the credential, whatever the grant has looked at.
func (l *limit) hold(authorization *Authorization) error {
	if l == nil {
		return nil
	}
	if l.lifetime > 0 {
		authorization.Lifetime = min(authorization.Lifetime, l.lifetime)
	}
	for _, scope := range authorization.Scope {
		if !l.allows(scope) {
			return beyondCredential(scope)
		}
	}
	return nil
}

// beyondCredential is the answer to a client that asks for what it may have, but not with the credential that it used.
func beyondCredential(scope string) error {
	return oauth.Errorf(oauth.InvalidScope, "the credential that the client used is not for this scope: "+oauth.SafeText(scope))
}
