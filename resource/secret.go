package resource

import (
	"fmt"
	"io"
	"log/slog"
)

// A Secret is a client secret or a key in a configuration. It shows as REDACTED wherever it is printed, logged or encoded.
type Secret string

const redacted = "REDACTED"

// String returns REDACTED.
func (Secret) String() string { return redacted }

// Format writes REDACTED whatever the verb: %x of a secret is the secret.
func (Secret) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, redacted) }

// MarshalText returns REDACTED, also for JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns REDACTED.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
