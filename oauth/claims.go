package oauth

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
)

// Claims are the claims of an access token (RFC 9068, 2.2), as they stand in a JWT and as an introspection answer
// repeats them. They say nothing until whoever holds them has verified where they come from.
type Claims struct {
	Issuer    string      `json:"iss"`
	Subject   string      `json:"sub"`
	ClientID  string      `json:"client_id"`
	Audience  Audience    `json:"aud"`
	Expires   NumericDate `json:"exp"`
	NotBefore NumericDate `json:"nbf,omitempty"`
	IssuedAt  NumericDate `json:"iat"`
	ID        string      `json:"jti"`
	Scope     string      `json:"scope,omitempty"`
	Roles     []string    `json:"roles,omitempty"`

	// Confirmation names the key that the token is bound to (RFC 7800). Who cannot check it must refuse the token.
	Confirmation json.RawMessage `json:"cnf,omitempty"`
}

// A NumericDate is a time in whole seconds since the epoch (RFC 7519, 2). Zero means absent.
type NumericDate int64

// UnmarshalJSON takes a JSON number, with or without a fraction, between 1 and the year 9999. A string, a boolean, null
// or 1e300 is an error, not a date.
func (n *NumericDate) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] < '0' || data[0] > '9' {
		return errors.New("date is not a positive number")
	}
	var seconds float64
	if err := json.Unmarshal(data, &seconds); err != nil {
		return errors.New("date is not a number")
	}
	if math.IsNaN(seconds) || seconds < 1 || seconds > 253402300799 {
		return errors.New("date is out of range")
	}
	*n = NumericDate(seconds)
	return nil
}

// An Audience is the "aud" claim: a string, or an array of strings (RFC 7519, 4.1.3). One value is written as a string.
type Audience []string

// Has reports whether the audience names identifier, by simple string comparison.
func (a Audience) Has(identifier string) bool { return slices.Contains(a, identifier) }

// MarshalJSON writes one value as a string and several as an array.
func (a Audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON accepts a string or a non-empty array of strings and nothing else.
func (a *Audience) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var one string
		if err := json.Unmarshal(data, &one); err != nil {
			return errors.New("aud is not a string")
		}
		*a = Audience{one}
		return nil
	}
	var many []*string
	if err := json.Unmarshal(data, &many); err != nil || len(many) == 0 {
		return errors.New("aud is neither a string nor an array of strings")
	}
	values := make(Audience, len(many))
	for i, value := range many {
		if value == nil {
			return errors.New("aud has a null")
		}
		values[i] = *value
	}
	*a = values
	return nil
}
