package store

import (
	"reflect"
	"strings"
	"unicode/utf8"
)

// Check returns ErrInvalid if the record's key is empty, or if any text in it is not valid UTF-8 or holds a NUL.
// PostgreSQL refuses such text and SQLite does not; every Store refuses it alike, so that nothing that an attacker sends
// works on one database and is an internal error on the other.
func Check[T Record](record T) error {
	if record.Key() == "" || !Valid(record) {
		return ErrInvalid
	}
	return nil
}

// Valid reports whether every text within v, a string or a record, can be kept.
func Valid(v any) bool { return valid(reflect.ValueOf(v)) }

func valid(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return utf8.ValidString(v.String()) && strings.IndexByte(v.String(), 0) < 0
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return true // bytes, not text
		}
		for i := range v.Len() {
			if !valid(v.Index(i)) {
				return false
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && !valid(v.Field(i)) {
				return false
			}
		}
	}
	return true
}
