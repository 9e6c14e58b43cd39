package authority

import "github.com/writ-auth/writ/oauth"

// clientSecretPost is client_secret_post (RFC 6749, 2.3.1).
var clientSecretPost = clientAuth{
	present: func(r *Request) (credentials, bool) {
		secret := r.Form.Get("client_secret")
		if secret == "" {
			return credentials{}, false
		}
		return credentials{serves: []string{oauth.ClientSecretPost}, clientID: identifier(r.Form.Get("client_id")), secret: secret}, true
	},
	prove:  proveSecret,
	settle: settleSecret,
}
