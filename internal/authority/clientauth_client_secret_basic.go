package authority

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/writ-auth/writ/oauth"
)

// clientSecretBasic is client_secret_basic (RFC 6749, 2.3.1).
var clientSecretBasic = clientAuth{
	present: func(r *Request) (credentials, bool) {
		if len(r.Authorization) != 1 || !isBasic(r.Authorization[0]) {
			return credentials{}, false
		}
		presented := basic(r.Authorization[0])
		presented.serves = servesBasic
		if named := r.Form.Get("client_id"); named != "" && presented.clientID != "" && named != presented.clientID {
			presented.refusal = oauth.Errorf(oauth.InvalidRequest, "client_id is not the client that authenticates")
		}
		return presented, true
	},
	prove:  proveSecret,
	settle: settleSecret,
}

var servesBasic = []string{oauth.ClientSecretBasic} // made once, and changed by nobody

var strictBase64 = base64.StdEncoding.Strict()

func isBasic(header string) bool {
	scheme, _, _ := strings.Cut(header, " ")
	return strings.EqualFold(scheme, "Basic")
}

// basic reads an Authorization header: user and password are each form-encoded before base64 (RFC 6749, 2.3.1). What
// cannot be read is the credentials of nobody.
func basic(header string) credentials {
	_, encoded, _ := strings.Cut(header, " ")
	encoded = strings.TrimLeft(encoded, " ") // 1*SP (RFC 9110, 11.4)
	var sent, room [256]byte                 // on the stack: most headers are shorter
	decoded, err := strictBase64.AppendDecode(room[:0], append(sent[:0], encoded...))
	if err != nil {
		return credentials{flaw: reasonNoCredentials}
	}
	user, password, found := strings.Cut(string(decoded), ":")
	id, errID := url.QueryUnescape(user)
	secret, errSecret := url.QueryUnescape(password)
	if !found || errID != nil || errSecret != nil {
		return credentials{flaw: reasonNoCredentials}
	}
	return credentials{clientID: identifier(id), secret: secret}
}
