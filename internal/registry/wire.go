package registry

import "github.com/writ-auth/writ/admin/wire"

// What the registry speaks of is what the admin API sends.
type (
	// A Client is what an operator sees of one.
	Client = wire.Client
	// A ClientFilter says which clients are wanted, and in which order.
	ClientFilter = wire.ClientFilter
	// A LastUse says when a credential was last good for something.
	LastUse = wire.LastUse
	// SecretInfo is what can be told about a secret.
	SecretInfo = wire.SecretInfo
	// A ClientKey is one of the public keys of a client.
	ClientKey = wire.ClientKey
	// A Limit is a ceiling that a credential has of its own.
	Limit = wire.Limit
	// A KeyUse is the last use of something that the client, and not the registry, has.
	KeyUse = wire.KeyUse
	// A ScopeUse says when a client last got a scope that it may have.
	ScopeUse = wire.ScopeUse
	// Registered is a new client with its secret, which is shown this once.
	Registered = wire.Registered
	// A ClientUpdate is everything that is registered about a client, anew.
	ClientUpdate = wire.ClientUpdate
	// A Secret is the text of a client's secret, which prints REDACTED.
	Secret = wire.Secret
	// SecretSettings are what an operator says about a further secret.
	SecretSettings = wire.SecretSettings
	// A NewSecret is a secret that was made now, which is shown this once.
	NewSecret = wire.NewSecret
	// ResourceSettings are what an operator says about a resource.
	ResourceSettings = wire.ResourceSettings
	// A Scope is something that a client can be allowed to do at a resource.
	Scope = wire.Scope
	// A Resource is a protected API.
	Resource = wire.Resource
	// RoleSettings are what an operator says about a role.
	RoleSettings = wire.RoleSettings
	// A Role is a named bundle of scopes on resources.
	Role = wire.Role
	// A Key is one key of the ring, without its private half.
	Key = wire.Key

	// DeclaredState is what a file says that is to be registered.
	DeclaredState = wire.DeclaredState
	// A DeclaredClient is a client as a file declares it.
	DeclaredClient = wire.DeclaredClient
	// A Declaration asks for a state.
	Declaration = wire.Declaration
	// A DeclaredPlan is what it takes to get from what is registered to what is declared.
	DeclaredPlan = wire.DeclaredPlan
	// A DeclaredChange is one object that is created, changed or deleted.
	DeclaredChange = wire.DeclaredChange
	// A DeclaredField is one member that is different.
	DeclaredField = wire.DeclaredField
	// A DeclaredImpact is something that was used lately and would work no more, or not as before.
	DeclaredImpact = wire.DeclaredImpact

	// InitialTokenSettings are what an operator says about an initial access token.
	InitialTokenSettings = wire.InitialTokenSettings
	// An InitialToken is one without the token itself.
	InitialToken = wire.InitialToken
	// NewInitialToken is one that was made now, which is shown this once.
	NewInitialToken = wire.NewInitialToken
	// A Registration is what is known of a client because it registered itself.
	Registration = wire.Registration

	// An Import is what another authorization server knew.
	Import = wire.Import
	// An ImportedClient is a client with what it had elsewhere.
	ImportedClient = wire.ImportedClient
	// An ImportItem says what became of one thing.
	ImportItem = wire.ImportItem
	// An ImportResult says what an import did.
	ImportResult = wire.ImportResult
)
