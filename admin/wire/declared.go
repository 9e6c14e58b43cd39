package wire

import "github.com/writ-auth/writ/oauth"

// DeclaredState is what a file says that is to be registered. A section that is nil declares nothing: what there is of its
// kind stays as it is. Within a section, everything about an object is what the file says, and what the file leaves out has
// its default; but for the client authentication method, keys and secrets, which stay when they are not named, so that no
// client is locked out, or falls back to a secret, by an omission.
type DeclaredState struct {
	Resources []ResourceSettings `json:"resources,omitzero" doc:"The protected APIs, without the admin API. Left out: they stay as they are"`
	Roles     []RoleSettings     `json:"roles,omitzero" doc:"Bundles of scopes. Left out: they stay as they are"`
	Clients   []DeclaredClient   `json:"clients,omitzero" doc:"The machines that ask for tokens. Left out: they stay as they are"`
}

// A DeclaredClient is a client as a file declares it, found by its name.
type DeclaredClient struct {
	oauth.ClientMetadata
	Suspended     bool   `json:"suspended,omitempty" doc:"Whether the client gets no tokens and its tokens are inactive"`
	Secret        Secret `json:"secret,omitzero" doc:"A secret of 256 random bits; only its hash is kept, and it is in no answer. One that the client has already changes nothing; a new one is added, and the former ones count for 24 h more. Left out: the secrets stay" writeOnly:"true"`
	SecretLimit   *Limit `json:"secret_limit,omitempty" doc:"What each of the client's secrets is good for at most, but for those that were rotated out, which stay as they are; {}: all that the client may have. Left out: they stay as they are"`
	KeyLimit      *Limit `json:"key_limit,omitempty" doc:"What each of the keys in jwks is good for at most; {}: all that the client may have. Left out: they stay as they are"`
	SecretPending bool   `json:"secret_pending,omitempty" doc:"Of a plan: there is to be a secret, which is not at hand"`
}

// A Declaration asks for a state.
type Declaration struct {
	State DeclaredState `json:"state"`
	Prune bool          `json:"prune,omitempty" doc:"Whether what is registered and not declared is deleted, in the sections that are there; never the admin API nor the caller"`
	// Fingerprint is that of the plan that was agreed to; "" agrees to whatever it takes.
	Fingerprint string `json:"fingerprint,omitempty" doc:"The fingerprint of the plan that is to be carried out; refused if the registry has changed since. Left out: whatever it takes"`
}

// A DeclaredPlan is what it takes to get from what is registered to what is declared. It holds no secret.
type DeclaredPlan struct {
	Fingerprint string           `json:"fingerprint" doc:"Stands for the changes and for what they were made from"`
	Changes     []DeclaredChange `json:"changes" doc:"In order: resources, roles, clients; none if everything is as declared"`
	Needs       []string         `json:"needs,omitempty" doc:"The scopes that it takes to apply the plan"`
}

// A DeclaredChange is one object that is created, changed or deleted.
type DeclaredChange struct {
	Action string           `json:"action" enum:"create,change,delete"`
	Kind   string           `json:"kind" enum:"resource,role,client"`
	Name   string           `json:"name" doc:"The URI of a resource, else the name"`
	Fields []DeclaredField  `json:"fields,omitempty" doc:"What is different"`
	Impact []DeclaredImpact `json:"impact,omitempty" doc:"What the change would break, by what was used in the last 90 days"`
}

// A DeclaredField is one member that is different: the values that go and those that come. Order does not count.
type DeclaredField struct {
	Field   string   `json:"field" example:"grants[https://api.example.com].scopes"`
	Removed []string `json:"removed,omitempty"`
	Added   []string `json:"added,omitempty"`
}

// A DeclaredImpact is something that was used lately and would work no more, or not as before.
type DeclaredImpact struct {
	Client   string `json:"client,omitempty" doc:"The client's name; left out where the text is about several"`
	Text     string `json:"text" example:"secret 4fk2p9qz7a stops working"`
	Resource string `json:"resource,omitempty" doc:"Of a scope that was used: of which resource" example:"https://api.example.com"`
	Scope    string `json:"scope,omitempty" doc:"A scope that was used" example:"orders:write"`
	LastUse
}
