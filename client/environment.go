package client

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// environment says which variable sets which field of Config.
var environment = map[string]string{
	"Issuer":      "WRIT_ISSUER",
	"ClientID":    "WRIT_CLIENT_ID",
	"Credential":  "WRIT_PRIVATE_KEY_FILE, WRIT_ASSERTION_FILE, WRIT_CERTIFICATE_FILE, WRIT_CLIENT_SECRET_FILE or WRIT_CLIENT_SECRET",
	"Certificate": "WRIT_CERTIFICATE_FILE and WRIT_CERTIFICATE_KEY_FILE",
	"AuthMethod":  "WRIT_AUTH_METHOD",
	"DPoP":        "WRIT_DPOP",
	"Resource":    "WRIT_RESOURCE",
	"Scope":       "WRIT_SCOPE",
}

// FromEnvironment returns a Source made of these variables; the error names every one that is missing or wrong:
//
//	WRIT_ISSUER                issuer, required
//	WRIT_CLIENT_ID             client ID, required
//
//	WRIT_PRIVATE_KEY_FILE      file with a private key (PrivateKeyFile)
//	WRIT_ASSERTION_FILE        file with an assertion of the platform (AssertionFile)
//	WRIT_CLIENT_SECRET_FILE    file with the client secret (SecretFile)
//	WRIT_CLIENT_SECRET_ROTATE  how old the secret in that file may get before the client renews it, such as "720h"
//	                           (RotatingSecretFile)
//	WRIT_CLIENT_SECRET         the client secret itself; of these four one at most
//	WRIT_CERTIFICATE_FILE      file with a client certificate (CertificateFile): the credential, or with one of the four
//	                           what accompanies it
//	WRIT_CERTIFICATE_KEY_FILE  file with the certificate's private key
//	WRIT_AUTH_METHOD           client authentication method, if it is not the credential's default (Config.AuthMethod)
//	WRIT_DPOP                  "true" for tokens that are bound to a key (Config.DPoP)
//
//	WRIT_RESOURCE              URI of the API
//	WRIT_SCOPE                 scope, separated by spaces
func FromEnvironment() (*Source, error) {
	config, err := ConfigFromEnvironment()
	if err != nil {
		return nil, err
	}
	return New(config)
}

// ConfigFromEnvironment reads the variables of FromEnvironment, for callers that add to them. The Config holds what was
// found even when the error says what is missing.
func ConfigFromEnvironment() (Config, error) {
	config := Config{
		Issuer:     os.Getenv("WRIT_ISSUER"),
		ClientID:   os.Getenv("WRIT_CLIENT_ID"),
		AuthMethod: os.Getenv("WRIT_AUTH_METHOD"),
		Resource:   os.Getenv("WRIT_RESOURCE"),
		Scope:      os.Getenv("WRIT_SCOPE"),
	}
	err := errors.Join(config.readCredential(), checkRotation(), config.readCertificate(), config.readDPoP())
	return config, errors.Join(err, config.validate(environment))
}

// readCredential takes the one credential that is in the environment.
func (c *Config) readCredential() error {
	var found []string
	for _, kind := range []struct {
		variable string
		make     func(string) Credential
	}{
		{"WRIT_PRIVATE_KEY_FILE", func(path string) Credential { return PrivateKeyFile(path) }},
		{"WRIT_ASSERTION_FILE", AssertionFile},
		{"WRIT_CLIENT_SECRET_FILE", c.secretFile},
		{"WRIT_CLIENT_SECRET", Secret},
	} {
		value := os.Getenv(kind.variable)
		if value == "" {
			continue
		}
		if found = append(found, kind.variable); len(found) == 1 {
			c.Credential = kind.make(value)
		}
	}
	if len(found) > 1 {
		return fmt.Errorf("client: %s: set one, not %s", strings.Join(found, " and "), quantity(len(found)))
	}
	return nil
}

// secretFile returns the credential of a secret in a file, which renews it if the environment says so.
func (c *Config) secretFile(path string) Credential {
	if every, err := time.ParseDuration(os.Getenv("WRIT_CLIENT_SECRET_ROTATE")); err == nil {
		return RotatingSecretFile(path, every)
	}
	return SecretFile(path)
}

func quantity(n int) string {
	if n == 2 {
		return "both"
	}
	return "all"
}

// checkRotation reports an interval that is none, or that nothing is rotated by.
func checkRotation() error {
	value := os.Getenv("WRIT_CLIENT_SECRET_ROTATE")
	if value == "" {
		return nil
	}
	if _, err := time.ParseDuration(value); err != nil {
		return errors.New("client: WRIT_CLIENT_SECRET_ROTATE: is no duration, such as 720h")
	}
	if os.Getenv("WRIT_CLIENT_SECRET_FILE") == "" {
		return errors.New("client: WRIT_CLIENT_SECRET_ROTATE: goes with WRIT_CLIENT_SECRET_FILE")
	}
	return nil
}

// readCertificate takes the certificate, as the credential if there is no other.
func (c *Config) readCertificate() error {
	certificate, key := os.Getenv("WRIT_CERTIFICATE_FILE"), os.Getenv("WRIT_CERTIFICATE_KEY_FILE")
	switch {
	case certificate == "" && key == "":
		return nil
	case certificate == "" || key == "":
		return fmt.Errorf("client: %s: set both; it can be one file", environment["Certificate"])
	case c.Credential == nil:
		c.Credential = CertificateFile(certificate, key)
	default:
		c.Certificate = CertificateFile(certificate, key)
	}
	return nil
}

func (c *Config) readDPoP() error {
	value := os.Getenv("WRIT_DPOP")
	if value == "" {
		return nil
	}
	wanted, err := strconv.ParseBool(value)
	if err != nil {
		return fmt.Errorf("client: %s: is neither true nor false", environment["DPoP"])
	}
	c.DPoP = wanted
	return nil
}
