package wire

import (
	"fmt"
	"io"
	"log/slog"
	"time"
)

// SecretInfo is what can be told about a secret.
type SecretInfo struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty" doc:"What the operators call it" example:"eu-west"`
	Created   time.Time `json:"created"`
	NotBefore time.Time `json:"not_before,omitzero" doc:"When it begins to count; left out when it always has"`
	Expires   time.Time `json:"expires,omitzero" doc:"Left out when it does not expire"`
	Rotated   time.Time `json:"rotated,omitzero" doc:"When a rotation put another in its place; left out for one that is current"`
	Limit     Limit     `json:"limit,omitzero" doc:"What it is good for at most; left out: what the client may have"`
	LastUse
}

// SecretSettings are what an operator says about a further secret. The zero value is one without a name that counts at once
// and for good.
type SecretSettings struct {
	Name      string    `json:"name,omitempty" doc:"What to call it, such as who gets it; no two of a client have the same" example:"eu-west"`
	NotBefore time.Time `json:"not_before,omitzero" doc:"When it begins to count; left out: at once"`
	Expires   time.Time `json:"expires,omitzero" doc:"When it stops counting; left out: never"`
	Limit     Limit     `json:"limit,omitzero" doc:"What it is good for at most; left out: what the client may have"`
}

// A SecretRotation says how a client comes to its next secret.
type SecretRotation struct {
	Name      string    `json:"name,omitempty" doc:"What to call the new secret" example:"2027"`
	Expires   time.Time `json:"expires,omitzero" doc:"When the new secret stops counting; left out: never"`
	Limit     Limit     `json:"limit,omitzero" doc:"What the new secret is good for at most; what is left out of it stays as the former ones have it, which must be the same for all of them"`
	LiftLimit bool      `json:"lift_limit,omitempty" doc:"Whether the ceiling of the former secrets does not go over to the new one"`
	Keep      *int64    `json:"keep_seconds,omitempty" doc:"How long the former secrets still count; left out: 24 hours. An end that one has already is never moved to later, nor to earlier while it is in use" minimum:"0" example:"86400"`
}

// A NewSecret is a secret that was made now, which is shown this once.
type NewSecret struct {
	ClientID string `json:"client_id" example:"billing-4fk2p9qz7a"`
	SecretInfo
	Secret Secret       `json:"client_secret" doc:"Shown this once; only a hash is kept" example:"writ_cs_..."`
	Former []SecretInfo `json:"former,omitempty" doc:"The other secrets of the client, each with its end"`
}

// A Secret is a new client's secret. It prints REDACTED wherever it is formatted or logged; only Reveal and the JSON of
// the one answer that shows it have the text.
type Secret string

const redacted = "REDACTED"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String returns REDACTED.
func (Secret) String() string { return redacted }

// Format writes REDACTED, whatever the verb: %x of a secret is a secret.
func (Secret) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, redacted) }

// LogValue returns REDACTED.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
