package interop_test

import (
	"context"
	"encoding/json"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/internal/server"
	"github.com/writ-auth/writ/oauth"
)

// TestRegistration lets a library register itself, which has never heard of Writ.
func TestRegistration(t *testing.T) {
	t.Parallel()
	t.Run("interop: openid-client registers itself", func(t *testing.T) {
		node(t, startRegistering(t), "openid-client-registration.mjs",
			"registration with an initial access token", "a token with what was registered",
			"more than the token allows is invalid_client_metadata", "another initial access token is refused", "a key instead of a secret",
			"what was registered is read", "what was registered is changed", "what was registered is deleted")
	})
}

// A registering server has an initial access token for clients of a resource. Scripts get it as JSON.
type registering struct {
	Issuer   string `json:"issuer"`
	Resource string `json:"resource"`
	Token    string `json:"token"`
}

func startRegistering(t *testing.T) registering {
	t.Helper()
	config := server.Default()
	config.Data, config.Log.Level, config.Registration.Enabled = filepath.Join(t.TempDir(), "data"), "error", true
	config.Listen, config.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	s := must(server.New(t.Context(), config, server.Options{}))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	var operator server.Credential
	if err := json.Unmarshal(read(t, filepath.Join(config.Data, "operator.json")), &operator); err != nil {
		t.Fatal(err)
	}
	source := must(client.New(client.Config{
		Issuer: operator.Issuer, ClientID: operator.ClientID, Credential: client.Secret(operator.ClientSecret),
		Resource: operator.Issuer + admin.Path, AllowHosts: []string{must(url.Parse(s.AdminURL())).Host},
	}))
	api := must(admin.New(admin.Config{URL: s.AdminURL(), HTTPClient: source.Client()}))
	r := registering{Issuer: s.IssuerURL(), Resource: "https://api.example"}
	settings := admin.ResourceSettings{URI: r.Resource}
	for _, scope := range scopes {
		settings.Scopes = append(settings.Scopes, admin.Scope{Name: scope})
	}
	must(api.CreateResource(t.Context(), settings))
	made := must(api.CreateInitialToken(t.Context(), admin.InitialTokenSettings{
		Name: "partners", MaxUses: 10, Grants: []oauth.Grant{{Resource: r.Resource, Scopes: scopes, Defaults: scopes[:1]}},
	}))
	r.Token = made.Token.Reveal()
	return r
}
