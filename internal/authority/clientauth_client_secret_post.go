package authority

import "github.com/writ-auth/writ/oauth"

// clientSecretPost is client_secret_post (RFC 6749, 2.3.1).
var clientSecretPost = clientAuth{
	present: func(r *Request) (credentials, bool) {
		id, secret := identifier(r.Form.Get("client_id")), r.Form.Get("client_secret")
		return credentials{serves: []string{oauth.ClientSecretPost}, clientID: id, secret: secret}, secret != ""
	},
	prove:  proveSecret,
	settle: settleSecret,
}
