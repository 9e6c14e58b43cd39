package authority

// clientCredentials is the grant of RFC 6749, 4.4: the client asks for itself, so it is the subject too (RFC 9068, 2.2).
var clientCredentials = grant{
	parameters: []string{"scope", "resource"},
	decide: func(a *Authority, client *client, form Form) (*Authorization, error) {
		authorization, err := narrow(client, form.All("resource"), form.Get("scope"))
		if err != nil {
			return nil, err
		}
		authorization.Subject = client.ID
		authorization.Lifetime = a.lifetime(client, authorization.Audience)
		return authorization, nil
	},
}
