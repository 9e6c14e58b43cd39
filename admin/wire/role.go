package wire

import (
	"time"

	"github.com/writ-auth/writ/oauth"
)

// RoleSettings are what an operator says about a role.
type RoleSettings struct {
	Name        string        `json:"name" doc:"Unique name, 1 to 64 characters of [A-Za-z0-9._-]" example:"orders-reader"`
	Description string        `json:"description,omitempty" doc:"For people"`
	Grants      []oauth.Grant `json:"grants" doc:"What clients with the role may ask for"`
}

// A Role is a named bundle of scopes on resources.
type Role struct {
	RoleSettings
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// ETag stands for what is registered: see If-Match. The answer has it as a header.
	ETag string `json:"-"`
}
