package importer

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/slowhash"
	"github.com/writ-auth/writ/oauth"
)

// A hydraClient is a client of Hydra: as GET /admin/clients shows it, or as a row of the table hydra_client, in which lists and
// documents are texts.
type hydraClient struct {
	ClientID   string         `json:"client_id"` // of the API
	ID         string         `json:"id"`        // of the table
	Name       string         `json:"client_name"`
	Secret     string         `json:"client_secret"` // of the table: the hash
	Expires    int64          `json:"client_secret_expires_at"`
	GrantTypes jsontext.Value `json:"grant_types"`
	Scope      string         `json:"scope"`
	Audience   jsontext.Value `json:"audience"`
	Method     string         `json:"token_endpoint_auth_method"`
	Algorithm  string         `json:"token_endpoint_auth_signing_alg"`
	JWKS       jsontext.Value `json:"jwks"`
	JWKSURI    string         `json:"jwks_uri"`
	TTL        jsontext.Value `json:"client_credentials_grant_access_token_lifespan"`
	Rotated    jsontext.Value `json:"rotated_secrets"`
	Strategy   string         `json:"access_token_strategy"`
	Owner      string         `json:"owner"`
	Contacts   jsontext.Value `json:"contacts"`
	Metadata   jsontext.Value `json:"metadata"`
}

func (c hydraClient) id() string { return cmp.Or(c.ClientID, c.ID) }

// Hydra reads an export of Ory Hydra: the JSON array that GET /admin/clients answers, or the rows of the table hydra_client as
// a JSON array of objects. Only the latter has the hashes of the secrets.
func Hydra(data []byte, options Options) (Plan, error) {
	const want = "a JSON array of clients, from GET /admin/clients or of the rows of hydra_client"
	var clients []hydraClient
	if data = trim(data); len(data) > MaxBytes || len(data) == 0 || data[0] != '[' {
		return Plan{}, wrongKind("Hydra", want)
	}
	if err := json.Unmarshal(data, &clients); err != nil {
		return Plan{}, fmt.Errorf("importer: %s cannot be read: %w", want, quiet(err))
	}
	p := newPlan(options)
	p.report("export", "Hydra", Changed, "who asked for no scope got a token without one there, and is refused here (invalid_scope): ask for the scopes")
	for _, client := range clients {
		if client.id() == "" {
			return Plan{}, wrongKind("Hydra", want)
		}
		if err := p.hydra(client); err != nil {
			return Plan{}, fmt.Errorf("importer: client %s: %w", oauth.SafeText(client.id()), err)
		}
	}
	return p.done(), nil
}

// quiet takes out of an error what it repeats of the file: there are secrets in it.
func quiet(err error) error {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("no JSON at byte %d", syntax.ByteOffset)
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		return fmt.Errorf("the value at %s is of another kind", oauth.SafeText(string(semantic.JSONPointer)))
	}
	return errors.New("it is no JSON that is expected here")
}

func (p *plan) hydra(c hydraClient) error {
	id := c.id()
	grantTypes, err := list(c.GrantTypes)
	if err != nil {
		return fmt.Errorf("grant_types: %w", err)
	}
	if !slices.Contains(grantTypes, oauth.ClientCredentials) {
		p.report("client", id, Skipped, "it is for users: its grant types are %s", cmp.Or(strings.Join(grantTypes, ", "), "those of the authorization code"))
		return nil
	}
	if c.Method == "none" {
		p.report("client", id, Skipped, "it is public: it has nothing to authenticate with")
		return nil
	}
	if !p.validID(id) {
		return nil
	}
	client := registry.ImportedClient{ID: id}
	allowed, err := p.hydraGrants(c)
	if err != nil || len(allowed) == 0 {
		return err
	}
	client.Grants = allowed
	client.ClientName = p.name(id, c.Name)
	if client.TokenTTLSeconds, err = p.hydraTTL(c); err != nil {
		return err
	}
	if !p.hydraMethod(&client, c) {
		return nil
	}
	p.hydraRest(c, grantTypes)
	p.Wanted.Clients = append(p.Wanted.Clients, client)
	return nil
}

// hydraGrants returns what a client may ask for. Hydra knows no tie between scopes and audiences: each of a client's audiences
// gets all of its scopes, as its tokens had them.
func (p *plan) hydraGrants(c hydraClient) (grants, error) {
	audiences, err := list(c.Audience)
	if err != nil {
		return nil, fmt.Errorf("audience: %w", err)
	}
	var uris []string
	for _, audience := range audiences {
		if uri := p.resource(audience); uri != "" {
			uris = append(uris, uri)
		} else {
			p.report("client", c.id(), Lost, "its audience %s is no absolute URI: say which it is with --audience %s=URI", audience, audience)
		}
	}
	if len(audiences) == 0 && p.options.Resource != "" {
		uris = append(uris, p.options.Resource)
		p.report("client", c.id(), Changed, "it has no audience, and gets %s", p.options.Resource)
	}
	if len(uris) == 0 {
		p.report("client", c.id(), Skipped, "there is no resource that its tokens are for: say which with --resource URI")
		return nil, nil
	}
	var allowed grants
	for scope := range strings.FieldsSeq(c.Scope) {
		if scope == "openid" || scope == "offline" || scope == "offline_access" {
			p.report("client", c.id(), Lost, "the scope %s is for users", scope)
			continue
		}
		if !validScope(scope) {
			p.report("client", c.id(), Lost, "the scope %s has a character that scopes cannot have, or is too long", scope)
			continue
		}
		for _, uri := range uris {
			p.scope(uri, scope, "")
			allowed.add(uri, scope, false)
		}
	}
	if len(allowed) == 0 {
		p.report("client", c.id(), Skipped, "it has no scope that could be granted")
	}
	if len(uris) > 1 {
		p.report("client", c.id(), Changed, "it has several audiences: it is to name one with the parameter resource, where it said audience")
	}
	return allowed, nil
}

// hydraTTL returns the life of a client's tokens: "15m0s" from the API, nanoseconds from the table.
func (p *plan) hydraTTL(c hydraClient) (int64, error) {
	text := strings.Trim(string(c.TTL), `"`)
	if text == "" || text == "null" {
		return 0, nil
	}
	life, err := time.ParseDuration(text)
	if nanoseconds, number := strconv.ParseInt(text, 10, 64); number == nil {
		life, err = time.Duration(nanoseconds), nil
	}
	if err != nil || life < 0 {
		return 0, errors.New("client_credentials_grant_access_token_lifespan is no duration")
	}
	return p.ttl(c.id(), int64(life/time.Second)), nil
}

// hydraMethod takes over how a client authenticates, and reports whether it can.
func (p *plan) hydraMethod(client *registry.ImportedClient, c hydraClient) bool {
	client.TokenEndpointAuthMethod = cmp.Or(c.Method, oauth.ClientSecretBasic)
	switch client.TokenEndpointAuthMethod {
	case oauth.ClientSecretBasic, oauth.ClientSecretPost:
		p.hydraSecret(client, c)
	case oauth.PrivateKeyJWT:
		client.JWKSURI, client.TokenEndpointAuthSigningAlg = c.JWKSURI, c.Algorithm
		if set := document(c.JWKS); client.JWKSURI == "" && len(set) > 0 {
			client.JWKS = []byte(set)
		}
		if client.JWKSURI == "" && len(client.JWKS) == 0 {
			p.report("client", c.id(), Skipped, "it authenticates with a key, and the export has none")
			return false
		}
	default:
		p.report("client", c.id(), Skipped, "it authenticates with %s, which there is not here", c.Method)
		return false
	}
	return true
}

func (p *plan) hydraSecret(client *registry.ImportedClient, c hydraClient) {
	if c.Secret == "" {
		p.report("client", c.id(), Lost, "its secret is not in the export: export the rows of hydra_client, or give it a new one with writ client secret add %s", c.id())
		return
	}
	hash, err := slowhash.Parse(c.Secret)
	if err != nil {
		p.report("client", c.id(), Lost, "the hash of its secret %v: give it a new one with writ client secret add %s", err, c.id())
		return
	}
	client.SecretHash = hash.String()
	if c.Expires > 0 {
		client.SecretExpires = time.Unix(c.Expires, 0).UTC()
	}
}

// hydraRest reports what else the client has.
func (p *plan) hydraRest(c hydraClient, grantTypes []string) {
	for _, grantType := range grantTypes {
		if grantType != oauth.ClientCredentials {
			p.report("client", c.id(), Lost, "the grant type %s", grantType)
		}
	}
	if rotated, err := list(c.Rotated); err != nil || len(rotated) > 0 {
		p.report("client", c.id(), Lost, "its former secrets (rotated_secrets): only the newest is taken over")
	}
	if c.Strategy == "opaque" {
		p.report("client", c.id(), Lost, "access_token_strategy opaque: the format is the resource's here")
	}
	var kept []string
	for name, there := range map[string]bool{
		"owner": c.Owner != "", "contacts": some(c.Contacts), "metadata": some(c.Metadata),
	} {
		if there {
			kept = append(kept, name)
		}
	}
	if slices.Sort(kept); len(kept) > 0 {
		p.report("client", c.id(), Lost, "%s", strings.Join(kept, ", "))
	}
}

// document returns a JSON document that may be written as a text, nil for an empty one.
func document(value jsontext.Value) jsontext.Value {
	if value.Kind() == '"' {
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return nil
		}
		value = jsontext.Value(text)
	}
	compact := value.Clone()
	if err := compact.Compact(); err != nil || !some(compact) {
		return nil
	}
	return compact
}

// some reports whether a JSON value says anything.
func some(value jsontext.Value) bool {
	text := string(bytes.Trim(bytes.TrimSpace(value), `"`))
	return text != "" && text != "null" && text != "[]" && text != "{}"
}

// list reads an array of texts that may be written as a text.
func list(value jsontext.Value) ([]string, error) {
	value = document(value)
	if len(value) == 0 {
		return nil, nil
	}
	var texts []string
	if err := json.Unmarshal(value, &texts); err != nil {
		return nil, errors.New("is no list of texts")
	}
	return texts, nil
}
