package authority

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/writ-auth/writ/oauth"
)

// A Request is what arrived at an endpoint, freed from HTTP.
type Request struct {
	Form          Form
	Authorization []string // values of the Authorization header
	Remote        string   // address of the caller, for the journal and the throttle
	ID            string   // request ID, for the journal
	Malformed     error    // why the form could not be read, if so: it is refused with that, and in the journal as any other
}

// A Form holds the parameters of a request body. Only "resource" may have several values.
type Form map[string][]string

// Get returns a parameter. One without a value counts as omitted (RFC 6749, 3.2).
func (f Form) Get(name string) string {
	if values := f[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// All returns the values of a parameter, the empty ones left out.
func (f Form) All(name string) []string {
	var values []string
	for _, value := range f[name] {
		if value != "" {
			values = append(values, value)
		}
	}
	return values
}

// only returns the parameters that are named: what a grant does not declare, it does not see.
func (f Form) only(names []string) Form {
	kept := Form{}
	for _, name := range names {
		if values, sent := f[name]; sent {
			kept[name] = values
		}
	}
	return kept
}

// Credentials are what a client presents to say who it is, by one mechanism.
type credentials struct {
	mechanism string // the client authentication method that this would be
	clientID  string
	secret    string
}

// mechanismUnknown stands for an Authorization scheme or an assertion that no client can be registered for.
const mechanismUnknown = "unknown"

// errManyMethods is the answer to a client that authenticates twice: which one would be believed is what an attacker
// would play with (RFC 6749, 2.3).
var errManyMethods = oauth.Errorf(oauth.InvalidRequest, "more than one client authentication method was used")

// presented returns the one set of credentials of a request. More than one is an error; none at all and none that can
// be read are credentials that will fail, with the same work and answer as wrong ones.
func (r *Request) presented() (credentials, error) {
	if len(r.Authorization) > 1 {
		return credentials{}, oauth.Errorf(oauth.InvalidRequest, "more than one Authorization header")
	}
	named := r.Form.Get("client_id")
	found := credentials{mechanism: mechanismUnknown, clientID: identifier(named)}
	mechanisms := 0
	if r.Form.Get("client_secret") != "" {
		found.mechanism, found.secret = oauth.ClientSecretPost, r.Form.Get("client_secret")
		mechanisms++
	}
	if r.Form.Get("client_assertion") != "" || r.Form.Get("client_assertion_type") != "" {
		found.mechanism = mechanismUnknown
		mechanisms++
	}
	if len(r.Authorization) == 1 {
		found = basic(r.Authorization[0])
		mechanisms++
	}
	if mechanisms > 1 {
		return credentials{}, errManyMethods
	}
	if named != "" && found.clientID != "" && named != found.clientID {
		return credentials{}, oauth.Errorf(oauth.InvalidRequest, "client_id is not the client that authenticates")
	}
	return found, nil
}

// basic reads an Authorization header: user and password are each form-encoded before base64 (RFC 6749, 2.3.1).
func basic(header string) credentials {
	none := credentials{mechanism: mechanismUnknown}
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return none
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(strings.TrimLeft(encoded, " ")) // 1*SP (RFC 9110, 11.4)
	if err != nil {
		return none
	}
	user, password, found := strings.Cut(string(decoded), ":")
	id, errID := url.QueryUnescape(user)
	secret, errSecret := url.QueryUnescape(password)
	if !found || errID != nil || errSecret != nil {
		return none
	}
	return credentials{mechanism: oauth.ClientSecretBasic, clientID: identifier(id), secret: secret}
}

// secretPrefix begins every secret that registry generates.
const secretPrefix = "writ_cs_"

// identifier returns text if it could be a client ID, and "", which no client has, for what would only go from a stranger
// into the database and the journal: characters outside RFC 6749, A.1, too many of them, or the secret of a client that
// mistook one field for the other.
func identifier(text string) string {
	other := func(r rune) bool { return r < ' ' || r > '~' }
	if len(text) > maxIdentifierBytes || strings.ContainsFunc(text, other) || strings.HasPrefix(text, secretPrefix) {
		return ""
	}
	return text
}

const maxIdentifierBytes = 256

// claimedClient returns who the caller says it is, for the journal.
func (r *Request) claimedClient() string {
	if len(r.Authorization) == 1 {
		if found := basic(r.Authorization[0]); found.clientID != "" {
			return found.clientID
		}
	}
	return identifier(r.Form.Get("client_id"))
}
