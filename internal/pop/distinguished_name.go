package pop

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A distinguishedName is a subject as it is compared: from the least to the most significant part, as RFC 4514 writes it.
type distinguishedName []attributes

// Attributes are one part of a name. Mostly there is one; if there are several, their order means nothing.
type attributes []attribute

type attribute struct {
	kind string // the OID, dotted
	text string // the value, if it is text: without the spaces that mean nothing (RFC 4518, 2.6.1)
	der  []byte // the value as it is encoded, else
}

// attributeTypes are the names that RFC 4514, 3 defines, and those that are met besides.
var attributeTypes = map[string]string{
	"CN": "2.5.4.3", "L": "2.5.4.7", "ST": "2.5.4.8", "O": "2.5.4.10", "OU": "2.5.4.11", "C": "2.5.4.6", "STREET": "2.5.4.9",
	"DC": "0.9.2342.19200300.100.1.25", "UID": "0.9.2342.19200300.100.1.1",
	"SERIALNUMBER": "2.5.4.5", "ORGANIZATIONIDENTIFIER": "2.5.4.97", "EMAILADDRESS": "1.2.840.113549.1.9.1",
}

// withoutCase are the attribute types whose values are compared without case (caseIgnoreMatch or caseIgnoreIA5Match; RFC
// 4519). All others are compared exactly.
var withoutCase = func() map[string]bool {
	types := map[string]bool{}
	for _, oid := range attributeTypes {
		types[oid] = true
	}
	return types
}()

// parseDistinguishedName reads the string form (RFC 4514, 3), with spaces around separators as RFC 2253 allowed.
func parseDistinguishedName(text string) (distinguishedName, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("pop: the distinguished name is not UTF-8")
	}
	name, part := distinguishedName{}, attributes{}
	for {
		one, separator, rest, err := parseAttribute(text)
		if err != nil {
			return nil, err
		}
		part = append(part, one)
		if separator != '+' {
			name, part = append(name, part), nil
		}
		if separator == 0 {
			return name, nil
		}
		text = rest
	}
}

// parseAttribute reads "CN=value" up to a separator: comma, plus, or, as 0, the end.
func parseAttribute(text string) (one attribute, separator byte, rest string, err error) {
	kind, text, found := strings.Cut(text, "=")
	if kind = strings.Trim(kind, " "); !found {
		return one, 0, "", fmt.Errorf("pop: %q in the distinguished name has no \"=\"", kind)
	}
	if one.kind, err = attributeType(kind); err != nil {
		return one, 0, "", err
	}
	text = strings.TrimLeft(text, " ")
	end := valueEnd(text)
	value := text[:end]
	if end < len(text) {
		separator, rest = text[end], text[end+1:]
	}
	if hexadecimal, found := strings.CutPrefix(value, "#"); found {
		der, err := hex.DecodeString(strings.TrimRight(hexadecimal, " "))
		if err != nil {
			return one, 0, "", errors.New("pop: a value of the distinguished name begins with # and is not hexadecimal")
		}
		var whole asn1.RawValue
		if left, err := asn1.Unmarshal(der, &whole); err != nil || len(left) > 0 {
			return one, 0, "", errors.New("pop: a value of the distinguished name begins with # and is not DER")
		}
		return newAttribute(one.kind, whole), separator, rest, nil
	}
	plain, err := unescape(value)
	if one.text = insignificant(plain); err == nil && one.text == "" {
		err = fmt.Errorf("pop: %s in the distinguished name has no value", kind)
	}
	return one, separator, rest, err
}

func attributeType(name string) (string, error) {
	if oid, known := attributeTypes[strings.ToUpper(name)]; known {
		return oid, nil
	}
	arcs := strings.Split(name, ".")
	for _, arc := range arcs {
		if n, err := strconv.ParseUint(arc, 10, 31); err != nil || strconv.FormatUint(n, 10) != arc {
			return "", fmt.Errorf("pop: the distinguished name has an attribute type %q that is not known; write it as an OID", name)
		}
	}
	if len(arcs) < 2 {
		return "", fmt.Errorf("pop: %q in the distinguished name is not an OID", name)
	}
	return name, nil
}

// valueEnd returns where a value ends: at a separator that is not escaped.
func valueEnd(text string) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case ',', '+':
			return i
		}
	}
	return len(text)
}

// special are the characters that stand for themselves behind a backslash (RFC 4514, 3).
const special = `"+,;<>\ #=`

// unescape reads a value. What must be escaped and is not, is an error: some readers would take it for a separator.
func unescape(value string) (string, error) {
	var plain []byte
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case strings.IndexByte("\";<>\x00", c) >= 0:
			return "", fmt.Errorf("pop: %q in the distinguished name must be escaped", c)
		case c != '\\':
			plain = append(plain, c)
		case i+1 < len(value) && strings.IndexByte(special, value[i+1]) >= 0:
			i++
			plain = append(plain, value[i])
		default:
			b, err := hex.DecodeString(value[min(i+1, len(value)):min(i+3, len(value))])
			if err != nil || len(b) != 1 {
				return "", errors.New("pop: the distinguished name has a backslash that escapes nothing")
			}
			i += 2
			plain = append(plain, b[0])
		}
	}
	if !utf8.Valid(plain) {
		return "", errors.New("pop: a value of the distinguished name is not UTF-8")
	}
	return string(plain), nil
}

// insignificant takes away the spaces that matching does not see (RFC 4518, 2.6.1).
func insignificant(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' }), " ")
}

func newAttribute(kind string, value asn1.RawValue) attribute {
	var decoded any
	if rest, err := asn1.Unmarshal(value.FullBytes, &decoded); err == nil && len(rest) == 0 {
		// T.61 has other characters than Latin-1 and than UTF-8, and nobody agrees: only ASCII is read.
		text, isText := decoded.(string)
		if isText && utf8.ValidString(text) && (value.Tag != asn1.TagT61String || isASCII(strings.ReplaceAll(text, " ", "_"))) {
			return attribute{kind: kind, text: insignificant(text)}
		}
	}
	return attribute{kind: kind, der: value.FullBytes}
}

// equals reports whether a name in DER is this one (distinguishedNameMatch; RFC 4517, 4.2.15): the same parts in the same
// order, each with the same attributes in any. How a value is encoded, and its case where the type has none, mean nothing.
// It is stricter than the RFC in one point: characters that Unicode can write in several ways are not unified.
func (name distinguishedName) equals(der []byte) bool {
	type valueOf struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	type partSET []valueOf
	var other []partSET
	if rest, err := asn1.Unmarshal(der, &other); err != nil || len(rest) > 0 || len(other) != len(name) || len(name) == 0 {
		return false
	}
	for i, part := range other {
		var given attributes
		for _, value := range part {
			given = append(given, newAttribute(value.Type.String(), value.Value))
		}
		if !name[len(name)-1-i].equals(given) { // DER begins with the most significant
			return false
		}
	}
	return true
}

func (part attributes) equals(other attributes) bool {
	if len(part) != len(other) {
		return false
	}
	taken := make([]bool, len(other))
	for _, one := range part {
		found := false
		for i := range other {
			if !taken[i] && one.equals(other[i]) {
				taken[i], found = true, true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func (one attribute) equals(other attribute) bool {
	if one.kind != other.kind || (one.der == nil) != (other.der == nil) {
		return false
	}
	if one.der != nil {
		return bytes.Equal(one.der, other.der)
	}
	if withoutCase[one.kind] {
		return equalWithoutCase(one.text, other.text)
	}
	return one.text == other.text
}

// equalWithoutCase compares letters by both of their cases. What strings.EqualFold takes for one letter may look like one
// and be another to whoever issues certificates: the Kelvin sign and k, the long s and s.
func equalWithoutCase(a, b string) bool {
	return strings.Map(unicode.ToLower, a) == strings.Map(unicode.ToLower, b) && strings.Map(unicode.ToUpper, a) == strings.Map(unicode.ToUpper, b)
}
