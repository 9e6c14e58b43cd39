package wire

import (
	"encoding/json"
	"time"

	"github.com/writ-auth/writ/oauth"
)

// InitialTokenSettings are what an operator says about an initial access token, with which clients register themselves
// (RFC 7591, 3).
type InitialTokenSettings struct {
	Name            string        `json:"name" doc:"Unique name, 1 to 64 characters of [A-Za-z0-9._-]" example:"partners"`
	Grants          []oauth.Grant `json:"grants" doc:"The most that a client may be granted that registers with it; never the admin API"`
	AuthMethods     []string      `json:"auth_methods,omitempty" doc:"The client authentication methods that a client may choose from; left out: all that the server has"`
	TokenTTLSeconds int64         `json:"token_ttl_seconds,omitempty" doc:"The longest life of a client's tokens in seconds; 0 leaves it to the resource"`
	Networks        []string      `json:"networks,omitempty" doc:"Where it may be used from, as CIDR; left out: anywhere" example:"192.0.2.0/24"`
	MaxUses         int64         `json:"max_uses,omitempty" doc:"How many clients may register with it, 1 to 10000; left out: 1"`
	Expires         time.Time     `json:"expires,omitzero" doc:"When it stops counting, at most 366 days ahead; left out: in 7 days"`
	FirstUseSeconds int64         `json:"first_use_seconds,omitempty" doc:"A client goes that was not used for so long after it registered; left out: 24 hours, at most 30 days"`
	IdleSeconds     int64         `json:"idle_seconds,omitempty" doc:"A client goes that was not used for so long; left out: 90 days, at most 366 days"`
}

// An InitialToken is an initial access token, without the token itself.
type InitialToken struct {
	ID string `json:"id"`
	InitialTokenSettings
	Used    int64     `json:"used" doc:"How many clients have registered with it"`
	Created time.Time `json:"created"`
}

// NewInitialToken is an initial access token that was made now, which is shown this once.
type NewInitialToken struct {
	InitialToken
	Token Secret `json:"initial_access_token" doc:"Shown this once; only a hash is kept" example:"writ_iat_..."`
}

// A Registration is what is known of a client because it registered itself.
type Registration struct {
	InitialToken     string          `json:"initial_token" doc:"ID of the initial access token that it came with"`
	InitialTokenName string          `json:"initial_token_name,omitempty" doc:"Its name; left out when the token was revoked, and in lists" example:"partners"`
	Software         string          `json:"software,omitempty" doc:"Who vouched for its software, and the software's ID, if it came with a software statement"`
	Described        json.RawMessage `json:"described,omitempty" doc:"What it says of itself for people to read, and nothing decides by: client_name, client_uri, contacts and so on. Nobody has checked it"`
	Goes             time.Time       `json:"goes,omitzero" doc:"When it is deleted if it is not used before, or soon after; left out for one that is suspended"`
}
