package wire

import "time"

// A ClientFilter says which clients are wanted, and in which order. An empty member lets everything pass.
type ClientFilter struct {
	Search         string `query:"search" minLength:"1" maxLength:"128" doc:"Part of the name or of the ID, in either case of a to z; nothing in it is a wildcard" example:"bill"`
	AuthMethod     string `query:"auth_method" enum:"client_secret_basic,client_secret_post,private_key_jwt,tls_client_auth,self_signed_tls_client_auth" doc:"Those that authenticate so"`
	Resource       string `query:"resource" minLength:"1" maxLength:"512" doc:"Those with a grant of their own for the resource" example:"https://api.example.com"`
	Role           string `query:"role" minLength:"1" maxLength:"64" doc:"Those that have the role" example:"orders-reader"`
	Suspended      Choice `query:"suspended" enum:"true,false" doc:"Those that are suspended, or those that are not"`
	SelfRegistered Choice `query:"self_registered" enum:"true,false" doc:"Those that registered themselves (RFC 7591), or those that did not"`
	// UnusedSince wants those of which nobody has used any credential since then, and that are older than that. The server looks
	// through the clients for it, some thousands for a page: a page may be short, or empty, and not be the last.
	UnusedSince time.Time `query:"unused_since" doc:"Those that were registered before then, and of which no credential was used since. A page may be short, or empty, and have a next one"`
	Sort        string    `query:"sort" enum:"id,-id,name,-name,created,-created,updated,-updated" doc:"What they are sorted by, with a - the other way round; by ID when left out" example:"name"`
}

// A Choice is Yes, No, or when empty neither.
type Choice string

// The choices.
const (
	Yes Choice = "true"
	No  Choice = "false"
)
