package adminapi

import "github.com/writ-auth/writ/admin/wire"

type (
	Client           = wire.Client
	Registered       = wire.Registered
	ClientUpdate     = wire.ClientUpdate
	ClientKey        = wire.ClientKey
	LastUse          = wire.LastUse
	ScopeUse         = wire.ScopeUse
	NewKey           = wire.NewKey
	ResourceSettings = wire.ResourceSettings
	Scope            = wire.Scope
	Resource         = wire.Resource
	RoleSettings     = wire.RoleSettings
	Role             = wire.Role
	Key              = wire.Key
	Rotation         = wire.Rotation
	SecretInfo       = wire.SecretInfo
	SecretSettings   = wire.SecretSettings
	NewSecret        = wire.NewSecret
	SecretRotation   = wire.SecretRotation
	DeclaredState    = wire.DeclaredState
	DeclaredClient   = wire.DeclaredClient
	Declaration      = wire.Declaration
	DeclaredPlan     = wire.DeclaredPlan
	DeclaredChange   = wire.DeclaredChange
	DeclaredImpact   = wire.DeclaredImpact
	Import           = wire.Import
	ImportedClient   = wire.ImportedClient
	ImportResult     = wire.ImportResult
	AuditRecord      = wire.AuditRecord
	AuditFilter      = wire.AuditFilter
	AuditPage        = wire.AuditPage
	AuditReport      = wire.AuditReport
	AuditFinding     = wire.AuditFinding
	JournalReport    = wire.JournalReport
	HistoryReport    = wire.HistoryReport
	Explanation      = wire.Explanation
	TokenRevocation  = wire.TokenRevocation
	DeclaredSecret   = wire.Secret
	Page[T any]      = wire.Page[T]
)
