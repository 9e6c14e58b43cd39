package wire

import (
	"time"

	"github.com/writ-auth/writ/oauth"
)

// An Import is what another authorization server knew: all of it is taken over, or nothing.
type Import struct {
	Resources []ResourceSettings `json:"resources,omitempty" doc:"Resources to register; one that exists gets the scopes that it lacks"`
	Roles     []RoleSettings     `json:"roles,omitempty" doc:"Roles to create; one that exists stays as it is"`
	Clients   []ImportedClient   `json:"clients,omitempty" doc:"Clients to register under the IDs that they have; one that exists stays as it is"`
	DryRun    bool               `json:"dry_run,omitempty" doc:"Change nothing, and answer what would be"`
}

// An ImportedClient is a client with what it had elsewhere: its ID and the hash of its secret.
type ImportedClient struct {
	ID string `json:"client_id" doc:"1 to 64 characters of [A-Za-z0-9._-]; never one that a client had before" example:"f34fb15a-bc8a-4372-91cd-aaaffa95fc2c"`
	oauth.ClientMetadata
	SecretHash    string    `json:"client_secret_hash,omitempty" doc:"Hash of its secret: PBKDF2-SHA256 or bcrypt, as Hydra keeps them; left out, it needs a new secret" example:"$pbkdf2-sha256$i=25000,l=32$SALT$KEY"`
	SecretExpires time.Time `json:"client_secret_expires,omitzero" doc:"When the secret stops counting; left out: never"`
	Suspended     bool      `json:"suspended,omitempty" doc:"Whether it is registered suspended"`
}

// An ImportItem says what became of one thing.
type ImportItem struct {
	Kind    string `json:"kind" enum:"resource,role,client"`
	ID      string `json:"id" doc:"The resource's URI, the role's name or the client's ID"`
	Name    string `json:"name,omitempty" doc:"What the client is called"`
	Outcome string `json:"outcome" enum:"created,extended,unchanged,kept" doc:"kept: it exists, differs, and was left as it is"`
	Note    string `json:"note,omitempty" doc:"What is worth knowing about it"`
}

// An ImportResult says what an import did, or with DryRun would do.
type ImportResult struct {
	Items  []ImportItem `json:"items"`
	DryRun bool         `json:"dry_run,omitempty"`
}
