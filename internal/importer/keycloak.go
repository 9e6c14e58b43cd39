package importer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// A realm is one of Keycloak, as far as machines go.
type realm struct {
	Realm         string           `json:"realm"`
	TokenLifespan int64            `json:"accessTokenLifespan"`
	Clients       []keycloakClient `json:"clients"`
	Users         []keycloakUser   `json:"users"`
	Groups        []jsontext.Value `json:"groups"`
	ClientScopes  []clientScope    `json:"clientScopes"`
	Roles         struct {
		Realm  []keycloakRole            `json:"realm"`
		Client map[string][]keycloakRole `json:"client"`
	} `json:"roles"`
}

type keycloakClient struct {
	ClientID        string            `json:"clientId"`
	Name            string            `json:"name"`
	Enabled         *bool             `json:"enabled"`
	Protocol        string            `json:"protocol"`
	Authenticator   string            `json:"clientAuthenticatorType"`
	Secret          string            `json:"secret"`
	Public          bool              `json:"publicClient"`
	BearerOnly      bool              `json:"bearerOnly"`
	ServiceAccount  bool              `json:"serviceAccountsEnabled"`
	StandardFlow    bool              `json:"standardFlowEnabled"`
	ImplicitFlow    bool              `json:"implicitFlowEnabled"`
	DirectAccess    bool              `json:"directAccessGrantsEnabled"`
	Attributes      map[string]string `json:"attributes"`
	DefaultScopes   []string          `json:"defaultClientScopes"`
	OptionalScopes  []string          `json:"optionalClientScopes"`
	ProtocolMappers []protocolMapper  `json:"protocolMappers"`
	AuthorizationOn bool              `json:"authorizationServicesEnabled"`
}

type keycloakUser struct {
	ServiceAccountOf string              `json:"serviceAccountClientId"`
	RealmRoles       []string            `json:"realmRoles"`
	ClientRoles      map[string][]string `json:"clientRoles"`
	Groups           []string            `json:"groups"`
}

type keycloakRole struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Composites  struct {
		Realm  []string            `json:"realm"`
		Client map[string][]string `json:"client"`
	} `json:"composites"`
}

type clientScope struct {
	Name            string           `json:"name"`
	Description     string           `json:"description"`
	ProtocolMappers []protocolMapper `json:"protocolMappers"`
}

type protocolMapper struct {
	Name   string            `json:"name"`
	Kind   string            `json:"protocolMapper"`
	Config map[string]string `json:"config"`
}

// What Keycloak has by itself in every realm, and what is for users there.
var (
	ownClients = []string{"account", "account-console", "admin-cli", "broker", "realm-management", "security-admin-console"}
	ownScopes  = []string{
		"acr", "address", "basic", "email", "microprofile-jwt", "offline_access", "organization", "phone", "profile", "role_list", "roles",
		"saml_organization", "service_account", "web-origins",
	}
	ownRoles = []string{"offline_access", "uma_authorization"}
)

// Keycloak reads what `kc.sh export --realm NAME --file FILE` writes: one realm as JSON. What machines need is taken: clients with
// a service account, with their roles and client scopes.
func Keycloak(data []byte, options Options) (Plan, error) {
	const want = "a JSON object, of kc.sh export --realm NAME --file FILE"
	var r realm
	if data = trim(data); len(data) > MaxBytes || len(data) == 0 || data[0] != '{' {
		return Plan{}, wrongKind("a realm of Keycloak", want)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return Plan{}, fmt.Errorf("importer: %s cannot be read: %w", want, quiet(err))
	}
	if r.Realm == "" || r.Clients == nil {
		return Plan{}, wrongKind("a realm of Keycloak", want+", with its clients")
	}
	k := &keycloak{plan: newPlan(options), realm: r}
	k.general()
	for _, client := range r.Clients {
		if err := k.client(client); err != nil {
			return Plan{}, fmt.Errorf("importer: client %s: %w", oauth.SafeText(client.ClientID), err)
		}
	}
	k.unused()
	return k.done(), nil
}

// keycloak is a plan of a realm.
type keycloak struct {
	*plan
	realm realm
}

// general reports what there is in the realm beside its clients.
func (k *keycloak) general() {
	people := 0
	for _, user := range k.realm.Users {
		if user.ServiceAccountOf == "" {
			people++
		}
	}
	say := func(outcome, format string, values ...any) {
		k.report("realm", k.realm.Realm, outcome, format, values...)
	}
	if people+len(k.realm.Groups) > 0 {
		say(Skipped, "%d users and %d groups: there are none here", people, len(k.realm.Groups))
	}
	say(Skipped, "Keycloak's own clients, roles and client scopes (%s, default-roles-%s, %s), and all settings of the realm",
		strings.Join(ownClients, ", "), k.realm.Realm, strings.Join(append(slices.Clone(ownRoles), ownScopes...), ", "))
	if life := k.realm.TokenLifespan; life > 0 && life != 300 {
		say(Changed, "its tokens lived %d seconds where the client does not say; those of a new resource live 300", life)
	}
	say(Changed, "Keycloak takes a secret in the header or in the form, Writ where the client is registered for: those here for the header "+
		"(client_secret_basic). For one that sends the form: writ client update NAME --auth-method client_secret_post")
}

func (k *keycloak) client(c keycloakClient) error {
	id := c.ClientID
	switch {
	case slices.Contains(ownClients, id):
		return nil // general says so
	case c.Protocol != "" && c.Protocol != "openid-connect":
		k.report("client", id, Skipped, "it speaks %s", c.Protocol)
		return nil
	case c.BearerOnly:
		k.api(c)
		return nil
	case c.Public:
		k.report("client", id, Skipped, "it is public: it has nothing to authenticate with")
		return nil
	case !c.ServiceAccount:
		k.report("client", id, Skipped, "it is for users: it has no service account")
		return nil
	case !k.validID(id):
		return nil
	}
	client := registry.ImportedClient{ID: id, Suspended: c.Enabled != nil && !*c.Enabled}
	allowed, roles := k.rights(c)
	if len(allowed)+len(roles) == 0 {
		k.report("client", id, Skipped, "it has no role and no scope that could be granted")
		return nil
	}
	client.Grants, client.Roles = allowed, roles
	client.ClientName = k.name(id, c.Name)
	taken, err := k.method(&client, c)
	if err != nil || !taken {
		return err
	}
	if err := k.lifespan(&client, c); err != nil {
		return err
	}
	client.DPoPBoundAccessTokens = c.Attributes["dpop.bound.access.tokens"] == "true"
	client.TLSClientCertificateBoundAccessTokens = c.Attributes["tls.client.certificate.bound.access.tokens"] == "true"
	k.rest(c)
	k.Wanted.Clients = append(k.Wanted.Clients, client)
	return nil
}

// api reports what a client is that only receives tokens.
func (k *keycloak) api(c keycloakClient) {
	if uri := k.resource(c.ClientID); uri != "" {
		k.report("client", c.ClientID, Changed, "an API: it is the resource %s now, and its roles are the scopes", uri)
		for _, role := range k.realm.Roles.Client[c.ClientID] {
			if validScope(role.Name) {
				k.scope(uri, role.Name, role.Description)
			}
		}
		return
	}
	k.report("client", c.ClientID, Skipped, "an API: its roles become scopes when it is said what its URI is, with --audience %s=URI", c.ClientID)
}

// unused reports the roles that no client has that is imported.
func (k *keycloak) unused() {
	var names []string
	for _, role := range k.realm.Roles.Realm {
		taken := slices.ContainsFunc(k.Wanted.Roles, func(r registry.RoleSettings) bool { return r.Name == nameOf(role.Name) })
		if !taken && !slices.Contains(ownRoles, role.Name) && role.Name != "default-roles-"+strings.ToLower(k.realm.Realm) {
			names = append(names, role.Name)
		}
	}
	for _, api := range slices.Sorted(maps.Keys(k.realm.Roles.Client)) {
		for _, role := range k.realm.Roles.Client[api] {
			if _, taken := k.scopes[k.resource(api)][role.Name]; !taken && !slices.Contains(ownClients, api) {
				names = append(names, api+" "+role.Name)
			}
		}
	}
	if len(names) > 0 {
		k.report("realm", k.realm.Realm, Skipped, "roles that no imported client has: %s", strings.Join(names, ", "))
	}
}

// rest reports what else a client has.
func (k *keycloak) rest(c keycloakClient) {
	lost := func(format string, values ...any) { k.report("client", c.ClientID, Lost, format, values...) }
	var flows []string
	for _, flow := range []struct {
		name string
		on   bool
	}{{"standard flow", c.StandardFlow}, {"implicit flow", c.ImplicitFlow}, {"direct access grants", c.DirectAccess}} {
		if flow.on {
			flows = append(flows, flow.name)
		}
	}
	if len(flows) > 0 {
		lost("what it has for users: %s", strings.Join(flows, ", "))
	}
	if c.AuthorizationOn {
		lost("its authorization services")
	}
	for _, mapper := range c.ProtocolMappers {
		if mapper.Kind != audienceMapper {
			lost("the protocol mapper %s (%s)", mapper.Name, mapper.Kind)
		}
	}
	if c.Attributes["client.secret.rotated"] != "" {
		lost("its former secret: only the newest is taken over")
	}
}

// userOf returns the service account of a client.
func (k *keycloak) userOf(id string) keycloakUser {
	at := slices.IndexFunc(k.realm.Users, func(u keycloakUser) bool { return u.ServiceAccountOf == id })
	if at < 0 {
		return keycloakUser{}
	}
	return k.realm.Users[at]
}

func (k *keycloak) clientScope(name string) clientScope {
	at := slices.IndexFunc(k.realm.ClientScopes, func(s clientScope) bool { return s.Name == name })
	if at < 0 {
		return clientScope{Name: name}
	}
	return k.realm.ClientScopes[at]
}

const audienceMapper = "oidc-audience-mapper"

// audiences returns what mappers put into "aud".
func audiences(mappers []protocolMapper) []string {
	var all []string
	for _, mapper := range mappers {
		named := cmp.Or(mapper.Config["included.client.audience"], mapper.Config["included.custom.audience"])
		if mapper.Kind == audienceMapper && named != "" {
			all = append(all, named)
		}
	}
	return all
}
