package interop_test

import (
	"strings"
	"testing"

	"github.com/writ-auth/writ/authtest"
)

// scopes are what every resource has and every client may ask for.
var scopes = []string{"orders:read", "orders:write"}

// A fixture is a running server and who is registered there. Scripts get it as JSON.
type fixture struct {
	Issuer     string            `json:"issuer"`
	Resource   string            `json:"resource"`   // its tokens are signed with ES256
	Basic      party             `json:"basic"`      // a client of Resource
	Post       party             `json:"post"`       // the same, with client_secret_post
	Caller     party             `json:"caller"`     // the API of Resource, for introspection
	Algorithms map[string]signed `json:"algorithms"` // by algorithm
	Opaque     signed            `json:"opaque"`     // tokens that only introspection can read
}

type party struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

// signed is a resource whose tokens have a format of their own, with a client, and the caller that is its API.
type signed struct {
	Resource string `json:"resource"`
	Client   party  `json:"client"`
	Caller   party  `json:"caller"`
}

func start(t *testing.T) fixture {
	t.Helper()
	server := authtest.New(t)
	f := fixture{Issuer: server.Issuer(), Resource: "https://api.example", Algorithms: map[string]signed{}}
	server.Resource(f.Resource, scopes...)
	f.Basic = party(server.Client(f.Resource, scopes...))
	f.Post = party(server.PostClient(f.Resource, scopes...))
	f.Caller = party(server.ResourceServer(f.Resource))
	with := func(resource string) signed {
		return signed{resource, party(server.Client(resource, scopes...)), party(server.ResourceServer(resource))}
	}
	for _, algorithm := range []string{"ES256", "Ed25519", "PS256", "RS256"} {
		resource := "https://" + strings.ToLower(algorithm) + ".example"
		server.SignedResource(resource, algorithm, scopes...)
		f.Algorithms[algorithm] = with(resource)
	}
	server.OpaqueResource("https://opaque.example", scopes...)
	f.Opaque = with("https://opaque.example")
	return f
}
