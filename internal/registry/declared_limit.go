package registry

import (
	"slices"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// limits gives the secrets and keys of a client the ceilings that are declared for them. It comes when all else of the record is
// as it will be.
func (d *draft) limits(p *problems, record *store.Client, wish DeclaredClient) {
	if wish.SecretLimit == nil && wish.KeyLimit == nil {
		return
	}
	var has oauth.Scope
	for of := range rightsOf(*record, d.after) {
		has = append(has, has.Missing(of.scope)...)
	}
	slices.Sort(has)
	if wish.SecretLimit != nil {
		limit := p.limit("secret_limit", *wish.SecretLimit, has)
		if len(record.Secrets) == 0 && !wish.SecretPending {
			p.add("secret_limit", "the client has no secret")
		}
		limitSecrets(record, limit)
	}
	if wish.KeyLimit != nil {
		limit := p.limit("key_limit", *wish.KeyLimit, has)
		switch {
		case record.JWKSURI != "" && limited(limit):
			p.add("key_limit", "the client publishes its keys at jwks_uri, and those are good for all that it may have: declare less for the client itself")
		case record.JWKSURI == "" && len(record.Keys) == 0:
			p.add("key_limit", "the client has no key")
		}
		limitKeys(record, limit)
	}
}

// limitSecrets gives the current secrets of a client one ceiling.
func limitSecrets(record *store.Client, limit store.Limit) {
	current := currentSecrets(record.Secrets)
	record.Secrets = slices.Clone(record.Secrets)
	for i, secret := range record.Secrets {
		if slices.ContainsFunc(current, func(s store.Secret) bool { return s.ID == secret.ID }) {
			record.Secrets[i].Limit = limit
		}
	}
}

// limitKeys gives all keys of a client one ceiling.
func limitKeys(record *store.Client, limit store.Limit) {
	record.Keys = slices.Clone(record.Keys)
	for i := range record.Keys {
		record.Keys[i].Limit = limit
	}
}

// limits adds the ceilings of a client's credentials: one for all, or where they differ each by its ID.
func (f facts) limits(record store.Client) {
	var secrets, keys []string
	for _, secret := range currentSecrets(record.Secrets) {
		secrets = append(secrets, secret.ID)
	}
	for _, key := range record.Keys {
		keys = append(keys, key.ID)
	}
	f.limitsOf("secret_limit", secrets, limitsOfSecrets(record.Secrets))
	f.limitsOf("key_limit", keys, limitsOfKeys(record.Keys))
}

func (f facts) limitsOf(field string, ids []string, limits []store.Limit) {
	put := func(path string, limit store.Limit) {
		for name, values := range factsOf(limitView(limit), "") {
			f[path+"."+name] = values
		}
	}
	if same, err := inheritedLimit(limits); err == nil {
		put(field, same)
		return
	}
	for i, limit := range limits {
		put(field+"["+ids[i]+"]", limit)
	}
}

// reachable returns which of its rights a client can get with some secret or key that it authenticates with. One without scopes
// of its own reaches all of them, and so does what has no ceiling: a key at a jwks_uri, a certificate.
func reachable(client store.Client, all rights) rights {
	var scopes []string
	use := func(limit store.Limit) (all bool) {
		scopes = append(scopes, limit.Scopes...)
		return len(limit.Scopes) == 0
	}
	credentials := 0
	if accepts(&client, usesSecrets) {
		credentials += len(client.Secrets)
		if slices.ContainsFunc(client.Secrets, func(s store.Secret) bool { return use(s.Limit) }) {
			return all
		}
	}
	if accepts(&client, usesKeys) {
		credentials += len(client.Keys)
		if slices.ContainsFunc(client.Keys, func(k store.ClientKey) bool { return use(k.Limit) }) {
			return all
		}
	}
	if credentials == 0 || client.JWKSURI != "" || client.CertificateRule != "" {
		return all
	}
	some := rights{}
	for of, byDefault := range all {
		if slices.Contains(scopes, of.scope) {
			some[of] = byDefault
		}
	}
	return some
}

// limitOf returns the ceiling of a credential of a client; none if it has no such credential.
func limitOf(client store.Client, credential string) store.Limit {
	for _, secret := range client.Secrets {
		if secret.ID == credential {
			return secret.Limit
		}
	}
	for _, key := range client.Keys {
		if key.ID == credential {
			return key.Limit
		}
	}
	return store.Limit{}
}
