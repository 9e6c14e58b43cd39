package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"github.com/writ-auth/writ/internal/jose"
)

// A row is what is compared: the limit first, then Writ.
type row struct {
	name, title   string
	against       string // what the limit does here
	connections   int
	rate          float64 // a share of what each of the two can do; 0: as much as they can
	first, second *side
	target        float64 // what the ratio is to be at least; 0: nothing is promised
}

// A result is a row, measured.
type result struct {
	row
	pair

	failed error // an answer that was wrong; nil otherwise
}

// rows are all comparisons of one Writ with one limit, in the order of the table.
func (b *bench) rows(ctx context.Context) ([]row, error) {
	rows := b.tokenRows()
	credentials, err := b.credentialRows()
	if err != nil {
		return nil, err
	}
	rows = append(rows, credentials...)
	if !b.wantsSome("introspection") && !b.wantsSome("resource") {
		return append(rows, b.halfRows()...), nil
	}
	tokens, err := b.tokens(ctx)
	if err != nil {
		return nil, err
	}
	rows = append(rows, b.introspectionRows(tokens)...)
	return append(append(rows, b.resourceRows(tokens)...), b.halfRows()...), nil
}

// limitSide and writSide are sides with one server each. A side is the same for all rows that ask it the same.
func (b *bench) limitSide(t target) *side { return &side{target: t, pids: []int{b.limit.pid()}} }
func (b *bench) writSide(t target) *side  { return &side{target: t, pids: []int{b.writ.pid()}} }

func (b *bench) limitTokens(kind string) *side {
	return b.limitSide(tokenRequests("limit "+kind, b.limit.plain, "/token/"+kind, credential{limitClient, limitSecret}))
}

func (b *bench) writTokens(client string) *side {
	return b.writSide(tokenRequests("writ "+client, b.writ.public, "/token", b.writ.clients[client]))
}

// tokenRows are the formats of tokens, at all numbers of connections.
func (b *bench) tokenRows() (rows []row) {
	targets := map[string]float64{"es256": 0.90, "ed25519": 0.80}
	against := map[string]string{"es256": "one signature, random nonce", "opaque": "no signature"}
	limits := map[string]string{"opaque": "none"}
	for _, f := range formats {
		kind := f.name
		if other := limits[kind]; other != "" {
			kind = other
		}
		first, second := b.limitTokens(kind), b.writTokens(f.name)
		for _, connections := range b.connections {
			r := row{name: f.name, title: f.title, against: "one signature", connections: connections, first: first, second: second}
			if text := against[f.name]; text != "" {
				r.against = text
			}
			if connections == b.busy {
				r.target = targets[f.name]
			}
			rows = append(rows, r)
		}
		if f.name == "es256" {
			rows = append(rows, row{
				name: "es256-rfc6979", title: f.title, against: "one signature, RFC 6979 nonce", connections: b.busy, first: b.limitTokens("es256-rfc6979"), second: second,
			})
		}
	}
	return append(rows, row{ // what it gave before, it gives again
		name: "again", title: "ES256, idempotent issuance, warm", against: "no signature", connections: b.busy, target: 0.60,
		first: b.limitTokens("none"), second: b.writTokens("again"),
	})
}

// credentialRows are the other ways to authenticate, and DPoP.
func (b *bench) credentialRows() ([]row, error) {
	key, err := jose.NewSigner(b.pki.clientKey, jose.ES256, "")
	if err != nil {
		return nil, err
	}
	own := credential{limitClient, limitSecret}
	clients, public := b.writ.clients, b.writ.public
	certified := func(name, address, path, id string, pair tls.Certificate) target {
		t := postRequests(name, address, path, credential{ID: id})
		t.request = constant(posted(address, path, "", grant+"&client_id="+url.QueryEscape(id)))
		t.tls = &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: b.pki.authorities}
		return t
	}
	rows := []row{
		{
			name: "client_secret_post", against: "one signature",
			first:  b.limitSide(postRequests("limit post", b.limit.plain, "/post", own)),
			second: b.writSide(postRequests("writ post", public, "/token", clients["post"])),
		},
		{
			name: "private_key_jwt", against: "a verification, one signature",
			first:  b.limitSide(assertionRequests("limit assertion", b.limit.plain, "/assertion", own, limitIssuer, key)),
			second: b.writSide(assertionRequests("writ assertion", public, "/token", clients["assertion"], b.writ.issuer, key)),
		},
		{
			name: "tls_client_auth", against: "one signature, over TLS",
			first:  b.limitSide(certified("limit certificate", b.limit.vouched, "/certificate", limitClient, b.pki.vouched)),
			second: b.writSide(certified("writ certificate", b.writ.mtls, "/token", clients["certificate"].ID, b.pki.vouched)),
		},
		{
			name: "self_signed_tls_client_auth", against: "one signature, over TLS",
			first:  b.limitSide(certified("limit self-signed", b.limit.shown, "/self-signed", limitClient, b.pki.selfSigned)),
			second: b.writSide(certified("writ self-signed", b.writ.mtls, "/token", clients["self-signed"].ID, b.pki.selfSigned)),
		},
		{
			name: "dpop", title: "DPoP, client_secret_basic", against: "a verification, one signature",
			first:  b.limitSide(proofRequests("limit dpop", b.limit.plain, "/dpop", own, limitIssuer, key)),
			second: b.writSide(proofRequests("writ dpop", public, "/token", clients["dpop"], b.writ.issuer, key)),
		},
	}
	for i, r := range rows {
		if rows[i].connections = b.busy; r.title == "" {
			rows[i].title = "ES256, " + r.name
		}
	}
	return rows, nil
}

// many is how many tokens are asked about in turn: more than a cache of the last few would help with.
const many = 1024

// tokens gets tokens of every format, and some of the limit server.
func (b *bench) tokens(ctx context.Context) (map[string][]string, error) {
	tokens := map[string][]string{}
	get := func(name, endpoint string, as credential, n int) error {
		got := make([]string, n)
		tokens[name] = got
		const askers = 2 // as many as the default transport keeps connections
		var all sync.WaitGroup
		var errs [askers]error
		for asker := range askers {
			all.Go(func() {
				for i := asker; i < n && errs[asker] == nil; i += askers {
					got[i], errs[asker] = fetchToken(ctx, endpoint, as, url.Values{})
				}
			})
		}
		all.Wait()
		return errors.Join(errs[:]...)
	}
	for _, f := range formats {
		n := many
		switch f.name {
		case "es256":
			n = many + b.unseen
		case "rs256", "ed25519":
			n = 64
		}
		if err := get(f.name, b.writ.issuer+"/token", b.writ.clients[f.name], n); err != nil {
			return nil, err
		}
	}
	return tokens, get("limit", "http://"+b.limit.plain+"/token/es256", credential{limitClient, limitSecret}, many)
}

func (b *bench) introspectionRows(tokens map[string][]string) []row {
	own := credential{limitClient, limitSecret}
	ask := func(name string, tokens []string) *side {
		return b.writSide(introspections("writ introspection "+name, b.writ.public, "/introspect", b.writ.clients["api"], tokens))
	}
	return []row{
		{
			name: "introspection", title: "introspection, ES256", against: "a verification", connections: b.busy, target: 0.75,
			first:  b.limitSide(introspections("limit introspection", b.limit.plain, "/introspect/es256", own, tokens["limit"])),
			second: ask("es256", tokens["es256"][:many]),
		},
		{
			name: "introspection-unseen", title: "introspection, ES256, not seen before", against: "a verification", connections: b.busy,
			first:  b.limitSide(introspections("limit introspection", b.limit.plain, "/introspect/es256", own, tokens["limit"])),
			second: ask("unseen", tokens["es256"][many:]),
		},
		{
			name: "introspection-opaque", title: "introspection, opaque", against: "no verification", connections: b.busy,
			first:  b.limitSide(introspections("limit introspection of nothing", b.limit.plain, "/introspect/none", own, tokens["limit"])),
			second: ask("opaque", tokens["opaque"]),
		},
	}
}

// resourceRows are about package resource: both sides are in one process.
func (b *bench) resourceRows(tokens map[string][]string) []row {
	at := func(path string, tokens []string) *side {
		return &side{target: apiRequests("api "+path, b.api.plain, path, tokens), pids: []int{b.api.pid()}}
	}
	rows := []row{{
		name: "resource-cached", title: "`resource`, token seen before", against: "a bare handler", connections: b.busy, target: 0.70,
		first: at("/bare", tokens["es256"][:b.busy]), second: at("/cached/es256", tokens["es256"][:b.busy]),
	}}
	for _, f := range formats {
		if f.algorithm != "" {
			rows = append(rows, row{
				name: "resource-uncached-" + f.name, title: fmt.Sprintf("`resource`, %s, no cache", f.title), against: "a verification", connections: b.busy,
				first: at("/verify/"+f.name, tokens[f.name]), second: at("/uncached/"+f.name, tokens[f.name]),
			})
		}
	}
	return rows
}

// halfRows are how long a token takes at half of what a server can do.
func (b *bench) halfRows() (rows []row) {
	for _, f := range formats[:2] {
		rows = append(rows, row{
			name: "half-" + f.name, title: f.title + ", at half load", against: "one signature", connections: b.busy, rate: 0.5,
			first: b.limitTokens(f.name), second: b.writTokens(f.name),
		})
	}
	return rows
}
