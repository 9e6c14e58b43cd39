package importer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/slowhash"
	"github.com/writ-auth/writ/oauth"
)

// method takes over how a client authenticates, and reports whether it can here.
func (k *keycloak) method(client *registry.ImportedClient, c keycloakClient) (bool, error) {
	switch c.Authenticator {
	case "client-secret", "":
		client.TokenEndpointAuthMethod = oauth.ClientSecretBasic
		return true, k.secret(client, c)
	case "client-jwt":
		client.TokenEndpointAuthMethod = oauth.PrivateKeyJWT
		return k.keys(client, c), nil
	case "client-x509":
		client.TokenEndpointAuthMethod = oauth.TLSClientAuth
		client.TLSClientAuthSubjectDN = c.Attributes["x509.subjectdn"]
		if client.TLSClientAuthSubjectDN == "" || c.Attributes["x509.allow.regex.pattern.comparison"] == "true" {
			k.report("client", c.ClientID, Skipped, "its certificate is known by a pattern, or by nothing: register it with the whole name (--subject-dn)")
			return false, nil
		}
		return true, nil
	}
	k.report("client", c.ClientID, Skipped, "it authenticates with %s, which there is not here", c.Authenticator)
	return false, nil
}

// secret hashes the secret, which Keycloak has in clear: from here on nobody sees it.
func (k *keycloak) secret(client *registry.ImportedClient, c keycloakClient) error {
	if strings.Trim(c.Secret, "*") == "" || strings.HasPrefix(c.Secret, "${vault.") {
		k.report("client", c.ClientID, Lost, "its secret is not in the export: give it a new one with writ client secret add %s", c.ClientID)
		return nil
	}
	kept, err := slowhash.Keep(c.Secret)
	if err != nil {
		return err
	}
	client.SecretHash = kept
	if end, err := strconv.ParseInt(c.Attributes["client.secret.expiration.time"], 10, 64); err == nil && end > 0 {
		client.SecretExpires = time.Unix(end, 0).UTC()
	}
	return nil
}

// keys takes over the keys of a client that signs assertions, and reports whether there are any.
func (k *keycloak) keys(client *registry.ImportedClient, c keycloakClient) bool {
	client.TokenEndpointAuthSigningAlg = c.Attributes["token.endpoint.auth.signing.alg"]
	if c.Attributes["use.jwks.url"] == "true" {
		client.JWKSURI = c.Attributes["jwks.url"]
		return true
	}
	if set := c.Attributes["jwks.string"]; c.Attributes["use.jwks.string"] == "true" && set != "" {
		client.JWKS = []byte(set)
		return true
	}
	for attribute, block := range map[string]string{"jwt.credential.certificate": "CERTIFICATE", "jwt.credential.public.key": "PUBLIC KEY"} {
		data := strings.Join(strings.Fields(c.Attributes[attribute]), "")
		if data == "" {
			continue
		}
		set, err := keySet(block, data)
		if err != nil {
			k.report("client", c.ClientID, Skipped, "its key (%s) %v", attribute, err)
			return false
		}
		client.JWKS = set
		return true
	}
	k.report("client", c.ClientID, Skipped, "it authenticates with a key, and the export has none")
	return false
}

// keySet makes a JWK Set of a key or certificate as Keycloak keeps it: PEM without its lines.
func keySet(block, data string) ([]byte, error) {
	keys, err := jose.ParsePublic(fmt.Appendf(nil, "-----BEGIN %s-----\n%s\n-----END %s-----\n", block, data, block))
	if err != nil || len(keys) != 1 {
		return nil, errors.New("cannot be read")
	}
	keys[0].Certificate = nil
	keys[0].Algorithm = "" // the client's says it
	jwk, err := jose.MarshalPublic(keys[0])
	if err != nil {
		return nil, errors.New("is of a kind that is not supported")
	}
	return fmt.Appendf(nil, `{"keys":[%s]}`, jwk), nil
}

// lifespan takes over how long a client's tokens live.
func (k *keycloak) lifespan(client *registry.ImportedClient, c keycloakClient) error {
	text := c.Attributes["access.token.lifespan"]
	if text == "" {
		return nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return errors.New("access.token.lifespan is no number")
	}
	client.TokenTTLSeconds = k.ttl(c.ClientID, seconds)
	return nil
}
