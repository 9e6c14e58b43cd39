package sqlstore

import (
	"database/sql"
	"database/sql/driver"
	"encoding/base64"
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/writ-auth/writ/internal/store"
)

// A field is a pointer into a record that knows how its column keeps it. Only int64, string and bool pass to and from
// the drivers.
type field interface {
	sql.Scanner
	driver.Valuer
}

// errColumn is all that is said about a column that does not parse: its content may be secret.
var errColumn = errors.New("a column does not hold what Writ wrote")

type text struct{ *string }

func (f text) Value() (driver.Value, error) { return *f.string, nil }
func (f text) Scan(value any) error         { return scan(f.string, value) }

type flag struct{ *bool }

func (f flag) Value() (driver.Value, error) { return *f.bool, nil }

func (f flag) Scan(value any) error {
	if n, ok := value.(int64); ok { // as SQLite has it
		*f.bool = n != 0
		return nil
	}
	return scan(f.bool, value)
}

type number struct{ *int64 }

func (f number) Value() (driver.Value, error) { return *f.int64, nil }
func (f number) Scan(value any) error         { return scan(f.int64, value) }

// span is a duration in microseconds.
type span struct{ *time.Duration }

func (f span) Value() (driver.Value, error) { return f.Microseconds(), nil }

func (f span) Scan(value any) error {
	var n int64
	if err := scan(&n, value); err != nil {
		return err
	}
	*f.Duration = time.Duration(n) * time.Microsecond
	return nil
}

// instant is a time in microseconds since 1970, 0 for the zero time.
type instant struct{ *time.Time }

func (f instant) Value() (driver.Value, error) { return microseconds(*f.Time), nil }

func (f instant) Scan(value any) error {
	var n int64
	if err := scan(&n, value); err != nil {
		return err
	}
	*f.Time = timeOf(n)
	return nil
}

func microseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(microseconds int64) time.Time {
	if microseconds == 0 {
		return time.Time{}
	}
	return time.UnixMicro(microseconds).UTC()
}

// blob is bytes as base64.
type blob struct{ bytes *[]byte }

func (f blob) Value() (driver.Value, error) { return base64.StdEncoding.EncodeToString(*f.bytes), nil }

func (f blob) Scan(value any) error {
	var s string
	if err := scan(&s, value); err != nil {
		return err
	}
	if s == "" {
		*f.bytes = nil
		return nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return errColumn
	}
	*f.bytes = b
	return nil
}

// list is a list as JSON. E is what the elements of the record are written as.
type list[T, E any] struct {
	records *[]T
	to      func(T) E
	from    func(E) T
}

func (f list[T, E]) Value() (driver.Value, error) {
	elements := make([]E, 0, len(*f.records))
	for _, r := range *f.records {
		elements = append(elements, f.to(r))
	}
	b, err := json.Marshal(elements)
	return string(b), err
}

func (f list[T, E]) Scan(value any) error {
	var s string
	if err := scan(&s, value); err != nil {
		return err
	}
	var elements []E
	if err := json.Unmarshal([]byte(s), &elements); err != nil {
		return errColumn
	}
	*f.records = nil
	for _, e := range elements {
		*f.records = append(*f.records, f.from(e))
	}
	return nil
}

func scan[T any](to *T, value any) error {
	v, ok := value.(T)
	if !ok {
		return errColumn
	}
	*to = v
	return nil
}

func texts(p *[]string) field {
	same := func(s string) string { return s }
	return list[string, string]{p, same, same}
}

// What follows is the form of lists in the database. Members are only added; a reader skips those it does not know.

type secretForm struct {
	ID        string `json:"id"`
	Name      string `json:"name,omitempty"`
	Hash      string `json:"hash"`
	Created   int64  `json:"created"`
	NotBefore int64  `json:"not_before,omitzero"`
	Expires   int64  `json:"expires"`
	Rotated   int64  `json:"rotated,omitzero"`
	Request   string `json:"request,omitempty"`

	Limit limitForm `json:"limit,omitzero"`
}

func secrets(p *[]store.Secret) field {
	return list[store.Secret, secretForm]{p,
		func(s store.Secret) secretForm {
			return secretForm{s.ID, s.Name, s.Hash, microseconds(s.Created), microseconds(s.NotBefore), microseconds(s.Expires),
				microseconds(s.Rotated), s.Request, limitFormOf(s.Limit)}
		},
		func(f secretForm) store.Secret {
			return store.Secret{ID: f.ID, Name: f.Name, Hash: f.Hash, Created: timeOf(f.Created), NotBefore: timeOf(f.NotBefore),
				Expires: timeOf(f.Expires), Rotated: timeOf(f.Rotated), Request: f.Request, Limit: f.Limit.limit()}
		},
	}
}

type clientKeyForm struct {
	ID          string `json:"id"`
	Algorithm   string `json:"algorithm"`
	Public      []byte `json:"public"`
	Certificate []byte `json:"certificate"`
	Created     int64  `json:"created"`
	NotBefore   int64  `json:"not_before,omitzero"`
	Expires     int64  `json:"expires"`

	Limit limitForm `json:"limit,omitzero"`
}

func clientKeys(p *[]store.ClientKey) field {
	return list[store.ClientKey, clientKeyForm]{p,
		func(k store.ClientKey) clientKeyForm {
			return clientKeyForm{k.ID, k.Algorithm, k.Public, k.Certificate, microseconds(k.Created), microseconds(k.NotBefore),
				microseconds(k.Expires), limitFormOf(k.Limit)}
		},
		func(f clientKeyForm) store.ClientKey {
			return store.ClientKey{ID: f.ID, Algorithm: f.Algorithm, Public: nilIfEmpty(f.Public), Certificate: nilIfEmpty(f.Certificate),
				Created: timeOf(f.Created), NotBefore: timeOf(f.NotBefore), Expires: timeOf(f.Expires), Limit: f.Limit.limit()}
		},
	}
}

type limitForm struct {
	TokenTTL int64    `json:"token_ttl,omitzero"`
	Scopes   []string `json:"scopes,omitempty"`
	Networks []string `json:"networks,omitempty"`
}

func limitFormOf(l store.Limit) limitForm {
	return limitForm{l.TokenTTL.Microseconds(), l.Scopes, l.Networks}
}

func (f limitForm) limit() store.Limit {
	return store.Limit{TokenTTL: time.Duration(f.TokenTTL) * time.Microsecond, Scopes: nilIfEmpty(f.Scopes), Networks: nilIfEmpty(f.Networks)}
}

// IsZero makes a credential without a ceiling be written without one.
func (f limitForm) IsZero() bool {
	return f.TokenTTL == 0 && len(f.Scopes) == 0 && len(f.Networks) == 0
}

// registration is a store.Registration as JSON.
type registration struct{ of *store.Registration }

type registrationForm struct {
	InitialToken string `json:"initial_token,omitempty"`
	Hash         string `json:"hash,omitempty"`
	Software     string `json:"software,omitempty"`
	FirstUse     int64  `json:"first_use,omitzero"`
	Idle         int64  `json:"idle,omitzero"`
	Described    string `json:"described,omitempty"`
}

func (f registration) Value() (driver.Value, error) {
	r := f.of
	b, err := json.Marshal(registrationForm{r.InitialToken, r.Hash, r.Software, r.FirstUse.Microseconds(), r.Idle.Microseconds(), r.Described})
	return string(b), err
}

func (f registration) Scan(value any) error {
	var s string
	if err := scan(&s, value); err != nil {
		return err
	}
	var form registrationForm
	if err := json.Unmarshal([]byte(s), &form); err != nil {
		return errColumn
	}
	*f.of = store.Registration{
		InitialToken: form.InitialToken, Hash: form.Hash, Software: form.Software, Described: form.Described,
		FirstUse: time.Duration(form.FirstUse) * time.Microsecond, Idle: time.Duration(form.Idle) * time.Microsecond,
	}
	return nil
}

type grantForm struct {
	Resource string   `json:"resource"`
	Scopes   []string `json:"scopes"`
	Defaults []string `json:"defaults"`
	Claims   string   `json:"claims,omitempty"`
}

func grants(p *[]store.Grant) field {
	return list[store.Grant, grantForm]{p,
		func(g store.Grant) grantForm { return grantForm{g.Resource, g.Scopes, g.Defaults, g.Claims} },
		func(f grantForm) store.Grant {
			return store.Grant{Resource: f.Resource, Scopes: nilIfEmpty(f.Scopes), Defaults: nilIfEmpty(f.Defaults), Claims: f.Claims}
		},
	}
}

type scopeForm struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

func scopes(p *[]store.Scope) field {
	return list[store.Scope, scopeForm]{p,
		func(s store.Scope) scopeForm { return scopeForm(s) },
		func(f scopeForm) store.Scope { return store.Scope(f) },
	}
}

func nilIfEmpty[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}
