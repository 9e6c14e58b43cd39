package authority

// clientSecretPost is client_secret_post (RFC 6749, 2.3.1).
var clientSecretPost = clientAuth{
	present: func(r *Request) (credentials, bool) {
		secret := r.Form.Get("client_secret")
		return credentials{clientID: identifier(r.Form.Get("client_id")), secret: secret}, secret != ""
	},
	prove: (*Authority).proveSecret,
}
