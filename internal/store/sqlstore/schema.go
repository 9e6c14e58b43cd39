package sqlstore

import "github.com/writ-auth/writ/internal/store"

// A schema says how the records of one kind are kept: a new kind of record is one more value.
type schema[T store.Record] struct {
	name       string // for errors
	statements statementsOf
	fields     func(*T) []field // in the order of the columns
	counted    bool             // whether writes make the generation grow
}

// targets are the fields of a record as what a row is scanned into.
func (s *schema[T]) targets(record *T) []any {
	fields := s.fields(record)
	to := make([]any, len(fields), len(fields)+1)
	for i, f := range fields {
		to[i] = f
	}
	return to
}

// statementsOf a table. Their first argument is the key; insert has the other columns behind it, put before it.
type statementsOf struct{ get, exists, list, insert, put, delete sqlText }

var clientColumns = []sqlText{
	"id", "name", "auth_method", "grant_types", "secrets", "grants", "roles", "resource_server_for",
	"multiple_audiences", "token_ttl", "suspended", "not_before", "created", "updated",
	"former_method", "former_until", "keys", "jwks_uri", "signing_algorithm", "certificate_rule", "certificate_value",
	"certificate_bound", "dpop_bound", "token_reuse", "networks", "claims", "rotates_secrets", "registration", "labels", "due",
}

var clients = schema[store.Client]{
	name:       "clients",
	statements: statementsFor("clients", true, clientColumns...),
	fields: func(c *store.Client) []field {
		return []field{
			text{&c.ID}, text{&c.Name}, text{&c.AuthMethod}, texts(&c.GrantTypes), secrets(&c.Secrets), grants(&c.Grants),
			texts(&c.Roles), texts(&c.ResourceServerFor), flag{&c.MultipleAudiences}, span{&c.TokenTTL}, flag{&c.Suspended},
			instant{&c.NotBefore}, instant{&c.Created}, instant{&c.Updated},
			text{&c.FormerMethod}, instant{&c.FormerUntil}, clientKeys(&c.Keys), text{&c.JWKSURI}, text{&c.SigningAlgorithm},
			text{&c.CertificateRule}, text{&c.CertificateValue}, flag{&c.CertificateBound}, flag{&c.DPoPBound},
			span{&c.TokenReuse}, texts(&c.Networks), text{&c.Claims}, flag{&c.RotatesSecrets}, registration{&c.Registration},
			labels{c}, due{c},
		}
	},
	counted: true,
}

var resources = schema[store.Resource]{
	name: "resources",
	statements: statementsFor("resources", false,
		"uri", "name", "scopes", "format", "algorithm", "token_ttl", "multiple_audiences", "created", "updated", "not_before"),
	fields: func(r *store.Resource) []field {
		return []field{
			text{&r.URI}, text{&r.Name}, scopes(&r.Scopes), text{&r.Format}, text{&r.Algorithm}, span{&r.TokenTTL},
			flag{&r.MultipleAudiences}, instant{&r.Created}, instant{&r.Updated}, instant{&r.NotBefore},
		}
	},
	counted: true,
}

var roles = schema[store.Role]{
	name:       "roles",
	statements: statementsFor("roles", false, "name", "description", "grants", "created", "updated"),
	fields: func(r *store.Role) []field {
		return []field{text{&r.Name}, text{&r.Description}, grants(&r.Grants), instant{&r.Created}, instant{&r.Updated}}
	},
	counted: true,
}

var signingKeys = schema[store.SigningKey]{
	name: "signing keys",
	statements: statementsFor("signing_keys", false,
		"id", "algorithm", "public_key", "sealed_key", "created", "sign_from", "sign_until", "drop_at", "revoked"),
	fields: func(k *store.SigningKey) []field {
		return []field{
			text{&k.ID}, text{&k.Algorithm}, blob{&k.Public}, blob{&k.Sealed}, instant{&k.Created}, instant{&k.SignFrom},
			instant{&k.SignUntil}, instant{&k.DropAt}, instant{&k.Revoked},
		}
	},
	counted: true,
}

var revocations = schema[store.Revocation]{
	name:       "revocations",
	statements: statementsFor("revocations", false, "token_id", "expires"),
	fields: func(r *store.Revocation) []field {
		return []field{text{&r.TokenID}, instant{&r.Expires}}
	},
}

var checkpoints = schema[store.Checkpoint]{
	name:       "checkpoints",
	statements: statementsFor("checkpoints", false, "journal", "note", "written"),
	fields: func(c *store.Checkpoint) []field {
		return []field{text{&c.Journal}, text{&c.Note}, instant{&c.Written}}
	},
}

var initialTokens = schema[store.InitialToken]{
	name: "initial access tokens",
	statements: statementsFor("initial_tokens", false, "id", "name", "hash", "grants", "auth_methods", "token_ttl", "networks",
		"first_use", "idle", "max_uses", "used", "expires", "created"),
	fields: func(t *store.InitialToken) []field {
		return []field{
			text{&t.ID}, text{&t.Name}, text{&t.Hash}, grants(&t.Grants), texts(&t.AuthMethods), span{&t.TokenTTL}, texts(&t.Networks),
			span{&t.FirstUse}, span{&t.Idle}, number{&t.MaxUses}, number{&t.Used}, instant{&t.Expires}, instant{&t.Created},
		}
	},
}

// statementsFor makes the statements of a table whose key is the first column and, if unique is set, whose second column
// is unique too.
//
// None of them provokes an error of the database where a rule of the Table says no: PostgreSQL would give up the whole
// transaction. They touch no row instead.
func statementsFor(table sqlText, unique bool, columns ...sqlText) statementsOf {
	key, all, values := columns[0], join(columns, ", "), placeholders(len(columns))
	var assignments []sqlText
	for i, column := range columns[1:] {
		assignments = append(assignments, column+" = "+values[i])
	}
	keyValue := values[len(assignments)]
	put := "UPDATE " + table + " SET " + join(assignments, ", ") + " WHERE " + key + " = " + keyValue
	if unique {
		put += " AND NOT EXISTS (SELECT 1 FROM " + table + " AS other WHERE other." + columns[1] + " = $1 AND other." +
			key + " <> " + keyValue + ")"
	}
	return statementsOf{
		get:    "SELECT " + all + " FROM " + table + " WHERE " + key + " = $1",
		exists: "SELECT count(*) FROM " + table + " WHERE " + key + " = $1",
		list:   "SELECT " + all + " FROM " + table + " WHERE " + key + " > $1 ORDER BY " + key + " LIMIT $2",
		insert: "INSERT INTO " + table + " (" + all + ") VALUES (" + join(values, ", ") + ") ON CONFLICT DO NOTHING",
		put:    put,
		delete: "DELETE FROM " + table + " WHERE " + key + " = $1",
	}
}
