package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/internal/server"
	"github.com/writ-auth/writ/oauth"
)

// Register an API and a client for it.
func Example() {
	api, stop := start()
	defer stop()
	ctx := context.Background()

	resource, err := api.CreateResource(ctx, admin.ResourceSettings{
		URI: "https://api.example.com", Scopes: []admin.Scope{{Name: "orders:read", Description: "Look at orders"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	made, err := api.CreateClient(ctx, oauth.ClientMetadata{
		ClientName: "billing", Grants: []oauth.Grant{{Resource: resource.URI, Scopes: []string{"orders:read"}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(made.ClientName, "has a secret:", made.Secret) // it prints REDACTED; made.Secret.Reveal() has it
	// Output: billing has a secret: REDACTED
}

// Change one thing about a client, unless somebody else changed it meanwhile.
func ExampleAPI_UpdateClient() {
	api, stop := start()
	defer stop()
	ctx := context.Background()
	if _, err := api.CreateClient(ctx, oauth.ClientMetadata{ClientName: "billing"}); err != nil {
		log.Fatal(err)
	}

	found, err := api.Client(ctx, "billing")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := api.SuspendClient(ctx, "billing"); err != nil { // somebody else
		log.Fatal(err)
	}
	update := admin.ClientUpdate{ClientMetadata: found.ClientMetadata}
	update.TokenTTLSeconds = 120
	_, err = api.UpdateClient(ctx, "billing", update, admin.IfMatch(found.ETag))
	if refused, ok := errors.AsType[*admin.Problem](err); ok && refused.Status == http.StatusPreconditionFailed {
		fmt.Println("look again:", refused)
	}
	// Output: look again: the client billing is not what it was when it was looked at: look at it again, and decide again
}

// Go through all clients that pass a filter; pages are fetched as they are come to.
func ExampleAPI_Clients() {
	api, stop := start()
	defer stop()
	ctx := context.Background()
	for _, name := range []string{"worker-1", "worker-2", "billing"} {
		if _, err := api.CreateClient(ctx, oauth.ClientMetadata{ClientName: name}); err != nil {
			log.Fatal(err)
		}
	}

	for found, err := range api.Clients(ctx, admin.ClientFilter{Search: "worker", Suspended: admin.No, Sort: "-name"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(found.ClientName)
	}
	// Output:
	// worker-2
	// worker-1
}

// Rotate a secret in a way that can be repeated when the answer is lost.
func ExampleIdempotencyKey() {
	api, stop := start()
	defer stop()
	ctx := context.Background()
	if _, err := api.CreateClient(ctx, oauth.ClientMetadata{ClientName: "billing"}); err != nil {
		log.Fatal(err)
	}

	first, err := api.RotateSecret(ctx, "billing", admin.SecretRotation{Name: "2027"}, admin.IdempotencyKey("rotation of 1 January"))
	if err != nil {
		log.Fatal(err)
	}
	again, err := api.RotateSecret(ctx, "billing", admin.SecretRotation{Name: "2027"}, admin.IdempotencyKey("rotation of 1 January"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.Secret.Reveal() == first.Secret.Reveal())
	// Output: true
}

// start starts a server in a directory of its own, and returns its admin API for the first operator.
func start() (*admin.API, func()) {
	directory, err := os.MkdirTemp("", "writ-")
	if err != nil {
		log.Fatal(err)
	}
	config := server.Default()
	config.Data, config.Log.Level = filepath.Join(directory, "data"), "error"
	config.Listen, config.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, config, server.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	api, err := connect(config.Data)
	if err != nil {
		log.Fatal(err)
	}
	return api, func() {
		cancel()
		if err := errors.Join(<-ended, os.RemoveAll(directory)); err != nil {
			log.Fatal(err)
		}
	}
}

// connect returns the admin API of the server whose data directory it is, for the first operator.
func connect(data string) (*admin.API, error) {
	text, err := os.ReadFile(filepath.Join(data, "operator.json"))
	if err != nil {
		return nil, err
	}
	var operator server.Credential
	if err := json.Unmarshal(text, &operator); err != nil {
		return nil, err
	}
	address, err := url.Parse(operator.Admin)
	if err != nil {
		return nil, err
	}
	source, err := client.New(client.Config{
		Issuer: operator.Issuer, ClientID: operator.ClientID, Credential: client.Secret(operator.ClientSecret),
		Resource: operator.Issuer + admin.Path, AllowHosts: []string{address.Host},
	})
	if err != nil {
		return nil, err
	}
	return admin.New(admin.Config{URL: operator.Admin, HTTPClient: source.Client()})
}
