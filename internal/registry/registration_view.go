package registry

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-auth/writ/internal/store"
)

// PathRegister is where clients register themselves, behind the issuer; behind it and a slash stands the ID of a client.
const PathRegister = "/register"

// ownMembers are those of a client's metadata that are the client's own to decide, and that it sees.
var ownMembers = []string{
	"token_endpoint_auth_method", "grant_types", "token_ttl_seconds", "jwks", "jwks_uri", "token_endpoint_auth_signing_alg",
	"tls_client_auth_subject_dn", "tls_client_auth_san_dns", "tls_client_auth_san_uri", "tls_client_auth_san_ip", "tls_client_auth_san_email",
	"tls_client_certificate_bound_access_tokens", "dpop_bound_access_tokens",
}

// information returns what is registered about a client, for the client. It never holds a secret or a hash.
func (r *Registry) information(record store.Client) ClientInformation {
	all := map[string]jsontext.Value{}
	data, _ := stdjson.Marshal(metadataOf(record)) // a plain struct; what is false or 0 is left out
	_ = json.Unmarshal(data, &all)
	information := ClientInformation{}
	for _, name := range ownMembers {
		if value, found := all[name]; found {
			information[name] = value
		}
	}
	described := map[string]jsontext.Value{}
	_ = json.Unmarshal([]byte(record.Registration.Described), &described) // ours, or empty
	for name, value := range described {
		information[name] = value
	}
	var scopes []string
	grants := []map[string]any{}
	for _, grant := range record.Grants {
		of := map[string]any{"resource": grant.Resource, "scopes": grant.Scopes}
		if len(grant.Defaults) > 0 {
			of["default_scopes"] = grant.Defaults
		}
		grants = append(grants, of)
		for _, scope := range grant.Scopes {
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	information["scope"], information["grants"], information["response_types"] = strings.Join(scopes, " "), grants, []string{}
	information["client_id"], information["client_id_issued_at"] = record.ID, record.Created.Unix()
	information["registration_client_uri"] = r.issuer + PathRegister + "/" + record.ID
	if usesSecrets(record.AuthMethod) {
		information["client_secret_expires_at"] = lastExpiry(record.Secrets)
	}
	return information
}

// lastExpiry returns when the last of a client's secrets ends, in seconds; 0 for never (RFC 7591, 3.2.1).
func lastExpiry(secrets []store.Secret) int64 {
	var last int64
	for _, secret := range secrets {
		if secret.Expires.IsZero() {
			return 0
		}
		last = max(last, secret.Expires.Unix())
	}
	return last
}

// registrationView is what an operator sees of how a client registered itself; nil for others. uses are the client's, and nil
// when nothing is to be said about when it goes.
func registrationView(record store.Client, uses []store.Use) *Registration {
	if !record.SelfRegistered() {
		return nil
	}
	from := record.Registration
	view := &Registration{InitialToken: from.InitialToken, Software: from.Software}
	described := map[string]jsontext.Value{}
	_ = json.Unmarshal([]byte(from.Described), &described) // ours, or empty
	delete(described, "software_statement")
	if len(described) > 0 {
		data, _ := json.Marshal(described, json.Deterministic(true)) // of JSON
		view.Described = data
	}
	if !record.Suspended {
		view.Goes = goes(record, uses)
	}
	return view
}

// describeRegistration adds what it takes another record to know.
func describeRegistration(ctx context.Context, s store.Store, client *Client) error {
	if client.Registration == nil {
		return nil
	}
	initial, err := s.InitialTokens().Get(ctx, client.Registration.InitialToken)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	client.Registration.InitialTokenName = initial.Name
	return nil
}
