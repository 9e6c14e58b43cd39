package wire

import "time"

// A Key is one key of the ring, without its private half.
type Key struct {
	ID        string    `json:"id" doc:"The kid of the tokens it signs"`
	Algorithm string    `json:"algorithm" example:"ES256" doc:"XC20P seals opaque tokens and is not published"`
	Status    string    `json:"status" enum:"announced,signing,retired,revoked"`
	Created   time.Time `json:"created"`
	SignFrom  time.Time `json:"sign_from"`
	SignUntil time.Time `json:"sign_until"`
	DropAt    time.Time `json:"drop_at" doc:"When its last token is dead and it is forgotten"`
	Revoked   time.Time `json:"revoked,omitzero"`
}

// A Rotation asks for a new key.
type Rotation struct {
	Algorithm string `json:"algorithm" doc:"The algorithm whose key is rotated; XC20P for the keys that seal opaque tokens" example:"ES256"`
	Now       bool   `json:"now,omitempty" doc:"Sign with the new key at once: validators that keep the key set refuse its tokens until they fetch it again"`
}
