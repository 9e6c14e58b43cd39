package adminapi

import "github.com/writ-auth/writ/admin/wire"

type (
	// A Client is what an operator sees of one.
	Client = wire.Client
	// Registered is a new client with its secret, if it has one, which is shown this once.
	Registered = wire.Registered
	// A ClientUpdate is everything that is registered about a client, anew.
	ClientUpdate = wire.ClientUpdate
	// A ClientKey is one of the public keys of a client.
	ClientKey = wire.ClientKey
	// A LastUse says when a credential was last good for something.
	LastUse = wire.LastUse
	// A ScopeUse says when a client last got a scope that it may have.
	ScopeUse = wire.ScopeUse
	// A NewKey is a public key for a client: exactly one of JWK and PEM is there.
	NewKey = wire.NewKey
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
	// A Rotation asks for a new key.
	Rotation = wire.Rotation
	// SecretInfo is what can be told about a secret.
	SecretInfo = wire.SecretInfo
	// SecretSettings are what an operator says about a further secret.
	SecretSettings = wire.SecretSettings
	// A NewSecret is a secret that was made now, which is shown this once.
	NewSecret = wire.NewSecret
	// A SecretRotation says how a client comes to its next secret.
	SecretRotation = wire.SecretRotation
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
	// A DeclaredImpact is something that was used lately and would work no more, or not as before.
	DeclaredImpact = wire.DeclaredImpact
	// An Import is what another authorization server knew.
	Import = wire.Import
	// An ImportedClient is a client with what it had there.
	ImportedClient = wire.ImportedClient
	// An ImportResult says what an import did, or would do.
	ImportResult = wire.ImportResult
	// An AuditRecord is something that happened, or that was changed.
	AuditRecord = wire.AuditRecord
	// An AuditFilter says which records are wanted.
	AuditFilter = wire.AuditFilter
	// An AuditPage is a part of the audit trail.
	AuditPage = wire.AuditPage
	// An AuditReport says whether all that happened and was changed holds together.
	AuditReport = wire.AuditReport
	// An AuditFinding is a place that does not hold.
	AuditFinding = wire.AuditFinding
	// A JournalReport is about the journal of the node that answers.
	JournalReport = wire.JournalReport
	// A HistoryReport is about what was changed.
	HistoryReport = wire.HistoryReport
	// An Explanation tells why a request was refused.
	Explanation = wire.Explanation
	// A TokenRevocation says which tokens are to be inactive from now on.
	TokenRevocation = wire.TokenRevocation
	// DeclaredSecret is the text of a secret, which prints REDACTED.
	DeclaredSecret = wire.Secret
	// A Page is a part of a list.
	Page[T any] = wire.Page[T]
)
