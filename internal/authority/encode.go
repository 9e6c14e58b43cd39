package authority

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// claimsOf turns an authorization into claims. It is pure, and the only place where decisions become claims (RFC 9068,
// 2.2).
func claimsOf(issuer string, now time.Time, id string, authorization *Authorization) *oauth.Claims {
	issued, expires := now.Unix(), now.Unix()+int64(authorization.Lifetime/time.Second)
	if after := authorization.after; after.Unix() == issued && after.Nanosecond() > 0 {
		// The second in which all older tokens were revoked: "iat" knows no parts of it, and what is issued now must not look
		// older than that.
		issued++
	}
	return &oauth.Claims{
		Issuer:   issuer,
		Subject:  authorization.Subject,
		ClientID: authorization.ClientID,
		Audience: authorization.Audience,
		Expires:  oauth.NumericDate(expires),
		IssuedAt: oauth.NumericDate(issued),
		ID:       id,
		Scope:    authorization.Scope.String(),
		Roles:    authorization.Roles,

		Confirmation: authorization.Confirmation.Claim(),
	}
}

// newTokenID returns a "jti": 128 random bits.
func newTokenID() string {
	var id [16]byte
	rand.Read(id[:])
	var text [22]byte
	base64.RawURLEncoding.Encode(text[:], id[:])
	return string(text[:])
}

// payload returns what the token says.
func (a *Authorization) payload(claims *oauth.Claims) []byte {
	return a.appendPayload(make([]byte, 0, 512), claims)
}

func (a *Authorization) appendPayload(b []byte, claims *oauth.Claims) []byte {
	return appendStatic(appendClaims(b, claims), a.Claims)
}

// encode makes the token: a signed JWT, or an opaque one that holds the same claims sealed. Neither needs a row. again asks
// for the same opaque token that the same claims came to before.
func (a *Authority) encode(authorization *Authorization, claims *oauth.Claims, again bool) (string, error) {
	if authorization.Format == store.FormatOpaque {
		seal := a.ring.Seal
		if again {
			seal = a.ring.SealAgain
		}
		sealed, err := seal(authorization.payload(claims))
		if err != nil {
			return "", err
		}
		return opaqueToken(sealed), nil
	}
	signer, err := a.ring.Signer(authorization.Algorithm)
	if err != nil {
		return "", err
	}
	var room [768]byte // on the stack: nothing keeps it
	return a.sign(signer, oauth.TypeAccessToken, authorization.appendPayload(room[:0], claims))
}

// appendClaims appends claims as JSON, as encoding/json would. It is written by hand because it runs once a token: a reflecting
// encoder takes five times as long.
func appendClaims(b []byte, c *oauth.Claims) []byte {
	b = appendText(append(b, `{"iss":`...), c.Issuer)
	b = appendText(append(b, `,"sub":`...), c.Subject)
	b = appendText(append(b, `,"client_id":`...), c.ClientID)
	b = append(b, `,"aud":`...)
	if len(c.Audience) == 1 {
		b = appendText(b, c.Audience[0]) // RFC 7519, 4.1.3
	} else {
		b = appendTexts(b, c.Audience)
	}
	b = strconv.AppendInt(append(b, `,"exp":`...), int64(c.Expires), 10)
	if c.NotBefore != 0 {
		b = strconv.AppendInt(append(b, `,"nbf":`...), int64(c.NotBefore), 10)
	}
	b = strconv.AppendInt(append(b, `,"iat":`...), int64(c.IssuedAt), 10)
	b = appendText(append(b, `,"jti":`...), c.ID)
	if c.Scope != "" {
		b = appendText(append(b, `,"scope":`...), c.Scope)
	}
	if len(c.Roles) > 0 {
		b = appendTexts(append(b, `,"roles":`...), c.Roles)
	}
	if len(c.Confirmation) > 0 {
		b = append(append(b, `,"cnf":`...), c.Confirmation...) // JSON already
	}
	return append(b, '}')
}

// appendStatic puts static claims behind the members of an object. None of them is called as one that stands there: readStatic
// has seen to that.
func appendStatic(object []byte, members string) []byte {
	if members == "" {
		return object
	}
	object = append(append(object[:len(object)-1], ','), members...)
	return append(object, '}')
}

func appendTexts(b []byte, texts []string) []byte {
	b = append(b, '[')
	for i, text := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, text)
	}
	return append(b, ']')
}

// appendText appends a JSON string.
func appendText(b []byte, text string) []byte {
	b, _ = jsontext.AppendQuote(b, text) // the error is of bytes that are not UTF-8; they are replaced
	return b
}

// opaquePrefix makes a leaked token recognisable to scanners; the checksum at the end lets them be sure without asking.
const opaquePrefix = "writ_at_"

// errNotOurs is the error for whatever this issuer has not issued, or not with a key that still lives.
var errNotOurs = errors.New("authority: not a token of this issuer")

func opaqueToken(sealed []byte) string {
	token := opaquePrefix + base64.RawURLEncoding.EncodeToString(sealed)
	return token + checksum(token)
}

// checksum returns the CRC-32 of a token's text, in the six characters that end it.
func checksum(text string) string {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.ChecksumIEEE([]byte(text)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

const checksumLength = 6

// An issued token is the claims that it was issued with, and the static ones among them.
type issued struct {
	oauth.Claims
	static map[string]json.RawMessage
}

// decode returns the claims of a token that this issuer has issued, whether or not it has expired or was revoked. The
// text must be the one that was issued, to the last character (CVE-2026-27840: truncated tokens that were taken).
func (a *Authority) decode(token string) (*issued, error) {
	var claims oauth.Claims
	if strings.HasPrefix(token, opaquePrefix) {
		plain, err := a.unseal(token)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(plain, &claims); err != nil || claims.Issuer != a.issuer {
			return nil, errNotOurs
		}
		return &issued{claims, staticClaims(plain)}, nil
	}
	sum := sha256.Sum256([]byte(token))
	if known, found := a.verifiedLately(sum); found {
		return known, nil
	}
	parsed, err := jose.Parse(token)
	if err != nil || parsed.Type != oauth.TypeAccessToken {
		return nil, errNotOurs
	}
	key, found := a.ring.Find(parsed.KeyID)
	if !found || parsed.Verify(key) != nil || parsed.Decode(&claims) != nil || claims.Issuer != a.issuer {
		return nil, errNotOurs
	}
	made := &issued{claims, staticClaims(parsed.Payload)}
	if len(token) <= maxVerifiedBytes {
		a.verified.keep(sum, verified{parsed.KeyID, made})
	}
	return made, nil
}

func (a *Authority) unseal(token string) ([]byte, error) {
	if len(token) > jose.MaxTokenBytes || len(token) < len(opaquePrefix)+checksumLength {
		return nil, errNotOurs
	}
	body := token[:len(token)-checksumLength]
	if checksum(body) != token[len(body):] || strings.ContainsAny(body, "\r\n") {
		return nil, errNotOurs
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(body[len(opaquePrefix):])
	if err != nil {
		return nil, errNotOurs
	}
	plain, err := a.ring.Open(sealed)
	if err != nil {
		return nil, errNotOurs
	}
	return plain, nil
}
