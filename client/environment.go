package client

import (
	"errors"
	"fmt"
	"os"
)

// environment says which variable sets which field of Config.
var environment = map[string]string{
	"Issuer":     "WRIT_ISSUER",
	"ClientID":   "WRIT_CLIENT_ID",
	"Credential": "WRIT_CLIENT_SECRET_FILE or WRIT_CLIENT_SECRET",
	"AuthMethod": "WRIT_AUTH_METHOD",
	"Resource":   "WRIT_RESOURCE",
	"Scope":      "WRIT_SCOPE",
}

// FromEnvironment returns a Source made of these variables; the error names every one that is missing or wrong:
//
//	WRIT_ISSUER              issuer, required
//	WRIT_CLIENT_ID           client ID, required
//	WRIT_CLIENT_SECRET_FILE  file with the client secret, read again for each token request
//	WRIT_CLIENT_SECRET       the client secret itself; one of the two, not both
//	WRIT_RESOURCE            URI of the API
//	WRIT_SCOPE               scope, separated by spaces
//	WRIT_AUTH_METHOD         client_secret_basic, the default, or client_secret_post
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
	file, value := os.Getenv("WRIT_CLIENT_SECRET_FILE"), os.Getenv("WRIT_CLIENT_SECRET")
	var both error
	switch {
	case file != "" && value != "":
		both = fmt.Errorf("client: %s: set one, not both", environment["Credential"])
		fallthrough
	case file != "":
		config.Credential = SecretFile(file)
	case value != "":
		config.Credential = Secret(value)
	}
	return config, errors.Join(both, config.validate(environment))
}
