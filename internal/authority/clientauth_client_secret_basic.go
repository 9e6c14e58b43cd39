package authority

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// clientSecretBasic is client_secret_basic (RFC 6749, 2.3.1).
var clientSecretBasic = clientAuth{
	present: func(r *Request) (credentials, bool) {
		if len(r.Authorization) != 1 || !isBasic(r.Authorization[0]) {
			return credentials{}, false
		}
		return basic(r.Authorization[0]), true
	},
	prove: (*Authority).proveSecret,
}

func isBasic(header string) bool {
	scheme, _, _ := strings.Cut(header, " ")
	return strings.EqualFold(scheme, "Basic")
}

// basic reads an Authorization header: user and password are each form-encoded before base64 (RFC 6749, 2.3.1). What
// cannot be read is the credentials of nobody.
func basic(header string) credentials {
	_, encoded, _ := strings.Cut(header, " ")
	decoded, err := base64.StdEncoding.Strict().DecodeString(strings.TrimLeft(encoded, " ")) // 1*SP (RFC 9110, 11.4)
	if err != nil {
		return credentials{unreadable: true}
	}
	user, password, found := strings.Cut(string(decoded), ":")
	id, errID := url.QueryUnescape(user)
	secret, errSecret := url.QueryUnescape(password)
	if !found || errID != nil || errSecret != nil {
		return credentials{unreadable: true}
	}
	return credentials{clientID: identifier(id), secret: secret}
}
