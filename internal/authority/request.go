package authority

import (
	"crypto/x509"
	"slices"
	"strings"

	"github.com/writ-auth/writ/oauth"
)

// A Request is what arrived at an endpoint, freed from HTTP.
type Request struct {
	Form          Form
	Authorization []string // values of the Authorization header
	DPoP          []string // values of the DPoP header (RFC 9449)
	// Certificates is the chain that the client has shown and whose first key it has proved to hold, in TLS, to us or to a
	// proxy that is trusted with it. Nothing else about it was checked.
	Certificates []*x509.Certificate
	// Uncertain says, if it is not nil, why it cannot be told which certificate the client has shown: two headers of a proxy
	// that each name one. Such a request comes from nobody, whatever else it carries.
	Uncertain error
	// URL is this endpoint as callers know it: what a DPoP proof must name in "htu".
	URL       string
	Remote    string // address of the caller, for the journal and the throttle
	Agent     string // what the caller says that it is (User-Agent), for the operator who looks for it
	ID        string // request ID, for the journal
	Malformed error  // why the form could not be read, if so: it is refused with that, and in the journal as any other

	credential string // ID of the one that was good, perhaps in another network; for the operator

	Outcome Outcome // what came of it: filled in by the Authority
}

// A Form holds the parameters of a request body. Only "resource" may stand in it several times. It is a list and no map because it is
// short, and made for each request.
type Form []Parameter

// A Parameter is a name and a value of it.
type Parameter struct{ Name, Value string }

// Get returns a parameter. One without a value counts as omitted (RFC 6749, 3.2).
func (f Form) Get(name string) string {
	for _, parameter := range f {
		if parameter.Name == name {
			return parameter.Value
		}
	}
	return ""
}

// All returns the values of a parameter, the empty ones left out.
func (f Form) All(name string) []string {
	var values []string
	for _, parameter := range f {
		if parameter.Name == name && parameter.Value != "" {
			values = append(values, parameter.Value)
		}
	}
	return values
}

// only returns the parameters that are named: what a grant does not declare, it does not see.
func (f Form) only(names []string) Form {
	var kept Form
	for _, parameter := range f {
		if slices.Contains(names, parameter.Name) {
			kept = append(kept, parameter)
		}
	}
	return kept
}

// required returns a parameter that the endpoint cannot do without, or why there is none.
func (r *Request) required(name string) (string, error) {
	if r.Malformed != nil {
		return "", r.Malformed
	}
	value := r.Form.Get(name)
	if value == "" {
		return "", oauth.Errorf(oauth.InvalidRequest, name+" is missing")
	}
	return value, nil
}

// Credentials are what a client presents to say who it is, by one mechanism.
type credentials struct {
	serves   []string // the client authentication methods that these may be; none are no credentials
	clientID string
	remote   string       // address of who presents them
	flaw     reason       // why they prove nothing, whoever is named
	refusal  *oauth.Error // the answer to a request that makes no sense as one

	// What they are: one of these.
	secret    string
	run       *slowRun // what slow hashing was done for the secret
	assertion *assertion
	chain     []*x509.Certificate
	vouched   *vouching // whether authorities vouch for the chain
}

// errManyMethods is the answer to a client that authenticates twice: which one would be believed is what an attacker
// would play with (RFC 6749, 2.3).
var errManyMethods = oauth.Errorf(oauth.InvalidRequest, "more than one client authentication method was used")

// reasonUncertain is why a request that names two certificates comes from nobody.
const reasonUncertain reason = "ambiguous_certificate"

// presented returns the one set of credentials of a request. More than one is an error; none at all and none that can
// be read are credentials that will fail, with the same work and answer as wrong ones.
func (r *Request) presented() (credentials, error) {
	if len(r.Authorization) > 1 {
		return credentials{}, oauth.Errorf(oauth.InvalidRequest, "more than one Authorization header")
	}
	found := credentials{clientID: identifier(r.Form.Get("client_id")), flaw: reasonNoCredentials}
	mechanisms := r.foreign()
	for _, name := range clientAuthNames {
		if slices.Contains(found.serves, name) {
			continue // the same credentials, as another method sees them
		}
		if presented, some := clientAuths[name].present(r); some {
			found, mechanisms = presented, mechanisms+1
		}
	}
	if mechanisms > 1 {
		return credentials{}, errManyMethods
	}
	if found.refusal != nil {
		return credentials{}, found.refusal
	}
	if r.Uncertain != nil {
		found.flaw = reasonUncertain
	}
	return found, nil
}

// foreign counts the credentials that no method of ours reads: another Authorization scheme.
func (r *Request) foreign() int {
	if len(r.Authorization) == 1 && !isBasic(r.Authorization[0]) {
		return 1
	}
	return 0
}

// secretPrefixes begin every secret that registry generates and every opaque token.
var secretPrefixes = []string{"writ_cs_", "writ_iat_", "writ_rat_", opaquePrefix}

// identifier returns text if it could be a client ID, and "", which no client has, for what would only go from a stranger
// into the database and the journal: characters outside RFC 6749, A.1, too many of them, or the secret of a client that
// mistook one field for the other, or put "id:secret" into one.
func identifier(text string) string {
	other := func(r rune) bool { return r < ' ' || r > '~' }
	secret := func(prefix string) bool { return strings.Contains(text, prefix) }
	if len(text) > maxIdentifierBytes || strings.ContainsFunc(text, other) || slices.ContainsFunc(secretPrefixes, secret) {
		return ""
	}
	return text
}

const maxIdentifierBytes = 256

// claimedClient returns who the caller says it is, for the journal.
func (r *Request) claimedClient() string {
	claimed, err := r.presented()
	if err != nil {
		return identifier(r.Form.Get("client_id"))
	}
	return claimed.clientID
}
