package server

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// A Duration is a time.Duration that is written as people do: 30d, 1d12h, 5m, 250ms.
type Duration time.Duration

// ParseDuration reads a Duration. A bare number is refused, because nobody knows its unit.
func ParseDuration(s string) (Duration, error) {
	wrong := errors.New(`must be a duration with its unit, such as 30d, 12h, 5m, 10s or 250ms`)
	days, rest, found := strings.Cut(s, "d")
	if !found {
		days, rest = "0", s
	} else if rest == "" {
		rest = "0s"
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil || strings.HasPrefix(rest, "+") || strings.HasPrefix(rest, "-") {
		return 0, wrong
	}
	d, err := time.ParseDuration(rest)
	if err != nil || rest == "0" {
		return 0, wrong
	}
	if d > math.MaxInt64-time.Duration(n)*24*time.Hour {
		return 0, wrong
	}
	return Duration(time.Duration(n)*24*time.Hour + d), nil
}

// String writes the duration as ParseDuration reads it, without the zeros that time.Duration writes.
func (d Duration) String() string {
	const day = Duration(24 * time.Hour)
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// A Size is a number of bytes, written 65536 or 64KiB.
type Size int64

// ParseSize reads a Size.
func ParseSize(s string) (Size, error) {
	digits, unit := strings.TrimRight(s, "BKMi"), int64(1)
	switch strings.TrimPrefix(s, digits) {
	case "", "B":
	case "KiB":
		unit = 1 << 10
	case "MiB":
		unit = 1 << 20
	default:
		digits = ""
	}
	n, err := parseInt(digits)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return 0, errors.New("must be a number of bytes, such as 65536, 64KiB or 1MiB")
	}
	return Size(int64(n) * unit), nil
}

func (s Size) String() string {
	switch {
	case s != 0 && s%(1<<20) == 0:
		return strconv.FormatInt(int64(s>>20), 10) + "MiB"
	case s != 0 && s%(1<<10) == 0:
		return strconv.FormatInt(int64(s>>10), 10) + "KiB"
	}
	return strconv.FormatInt(int64(s), 10)
}

// parseInt refuses what YAML 1.1 and 1.2 read as different numbers (010) and what Go alone reads as one (1_000, 0x10).
func parseInt(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || strconv.Itoa(n) != s {
		return 0, errors.New("must be a whole number in decimal digits")
	}
	return n, nil
}

// parsePrefix reads a CIDR. A single address is refused so that 10.0.0.1 is never read as a network by accident, and so
// is one with bits behind the mask, because it is a mistake in one of two places.
func parsePrefix(s string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return prefix, fmt.Errorf("%q must be a CIDR, such as 10.0.0.7/32", s)
	case prefix != prefix.Masked():
		return prefix, fmt.Errorf("%q has bits outside its mask; write %s", s, prefix.Masked())
	case prefix.Bits() == 0:
		return prefix, fmt.Errorf("%q trusts everybody; name the proxies", s)
	case prefix.Addr().Is4In6():
		return prefix, fmt.Errorf("%q must be written as IPv4", s)
	}
	return prefix, nil
}

// assign sets a field of Config from text. It is the one way in, for the defaults, the file, the environment and flags.
func assign(field reflect.Value, values ...string) error {
	switch field.Interface().(type) {
	case []netip.Prefix:
		return assignList(field, values, parsePrefix)
	case []string:
		return assignList(field, values, parseText)
	}
	if len(values) != 1 {
		return errors.New("must be one value, not a list")
	}
	return assignOne(field, values[0])
}

func assignList[T any](field reflect.Value, values []string, parse func(string) (T, error)) error {
	list := make([]T, 0, len(values))
	var problems []error
	for _, value := range values {
		member, err := parse(strings.TrimSpace(value))
		list, problems = append(list, member), append(problems, err)
	}
	field.Set(reflect.ValueOf(list))
	return errors.Join(problems...)
}

func parseText(s string) (string, error) {
	if s == "" {
		return "", errors.New("has an empty member")
	}
	return s, nil
}

// parseBool takes the two words and none of the others that YAML 1.1 has for them.
func parseBool(s string) (bool, error) {
	if s != "true" && s != "false" {
		return false, errors.New("must be true or false")
	}
	return s == "true", nil
}

func assignOne(field reflect.Value, text string) error {
	switch field.Interface().(type) {
	case string:
		field.SetString(text)
		return nil
	case bool:
		b, err := parseBool(text)
		field.SetBool(b)
		return err
	case int:
		n, err := parseInt(text)
		field.SetInt(int64(n))
		return err
	case Duration:
		d, err := ParseDuration(text)
		field.SetInt(int64(d))
		return err
	case Size:
		n, err := ParseSize(text)
		field.SetInt(int64(n))
		return err
	}
	panic("server: Config has a field of type " + field.Type().String())
}
