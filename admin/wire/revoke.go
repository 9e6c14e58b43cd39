package wire

import "time"

// A TokenRevocation says which tokens are to be inactive from now on.
type TokenRevocation struct {
	IssuedBefore time.Time `json:"issued_before,omitzero" doc:"Those that were issued before it; left out: all until now"`
}
