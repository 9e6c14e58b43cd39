package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/client"
)

// Variables of the client library that name what a client proves itself with.
const (
	variablePrivateKey     = "WRIT_PRIVATE_KEY_FILE"
	variableAssertion      = "WRIT_ASSERTION_FILE"
	variableCertificate    = "WRIT_CERTIFICATE_FILE"
	variableCertificateKey = "WRIT_CERTIFICATE_KEY_FILE"
	variableDPoP           = "WRIT_DPOP"
)

// fileFlags are the flags that name the same files.
var fileFlags = map[string]string{
	variablePrivateKey: "--private-key", variableAssertion: "--assertion-file", variableCertificate: "--certificate", variableCertificateKey: "--key",
}

// wanted says which token a command is to get, and as whom, beside what the environment says.
type wanted struct {
	issuer, clientID, resource, scope string

	privateKey, assertion, certificate, key string // files
	dpop                                    bool
	dpopKey                                 string // file
}

func (w *wanted) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&w.issuer, "issuer", "", "`URL` of the issuer (WRIT_ISSUER)")
	flags.StringVar(&w.clientID, "client", "", "`ID` of the client (WRIT_CLIENT_ID)")
	flags.StringVar(&w.resource, "resource", "", "`URI` of the API that the token is for (WRIT_RESOURCE)")
	flags.StringVar(&w.scope, "scope", "", "`SCOPES`, separated by spaces (WRIT_SCOPE); else the client's defaults")
	flags.StringVar(&w.privateKey, "private-key", "", "`FILE` with the client's private key, PEM or JWK ("+variablePrivateKey+")")
	flags.StringVar(&w.assertion, "assertion-file", "", "`FILE` with an assertion that the platform made ("+variableAssertion+")")
	flags.StringVar(&w.certificate, "certificate", "", "`FILE` with the client's certificate ("+variableCertificate+")")
	flags.StringVar(&w.key, "key", "", "`FILE` with the certificate's key ("+variableCertificateKey+")")
	flags.BoolVar(&w.dpop, "dpop", false, "ask for a token that is bound to a key ("+variableDPoP+")")
	flags.StringVar(&w.dpopKey, "dpop-key", "", "`FILE` with the key to bind it to; else a new one, which nobody\nhas when the command has ended")
	for _, name := range []string{"private-key", "assertion-file", "certificate", "key", "dpop-key"} {
		_ = cmd.MarkFlagFilename(name) // fails only for a flag that is not there
	}
}

// source returns what gets tokens for the environment's client.
func (w *wanted) source(allowHosts ...string) (*client.Source, error) {
	config, err := w.config()
	if err == nil {
		config.AllowHosts = append(config.AllowHosts, allowHosts...)
		var source *client.Source
		if source, err = client.New(config); err == nil {
			return source, nil
		}
	}
	return nil, advise(err, "source .writ-dev/env beside a running `writ dev`, or set WRIT_ISSUER, WRIT_CLIENT_ID and a credential, such as "+
		variablePrivateKey+" or WRIT_CLIENT_SECRET_FILE")
}

// config returns the environment's client with what the flags say instead. A credential that a flag names replaces the
// one in the environment, whatever its kind.
func (w *wanted) config() (client.Config, error) {
	if err := setenv("WRIT_ISSUER", w.issuer); err != nil { // before the demo client's secret could be taken for this issuer
		return client.Config{}, err
	}
	if err := devEnvironment(); err != nil {
		return client.Config{}, err
	}
	var problems []error
	if w.privateKey+w.assertion+w.certificate != "" {
		for _, name := range credentials {
			problems = append(problems, os.Unsetenv(name))
		}
	}
	if w.dpop {
		problems = append(problems, setenv(variableDPoP, "true"))
	}
	problems = append(problems, setenv("WRIT_CLIENT_ID", w.clientID), setenv("WRIT_RESOURCE", w.resource), setenv("WRIT_SCOPE", w.scope),
		setenv(variablePrivateKey, w.privateKey), setenv(variableAssertion, w.assertion),
		setenv(variableCertificate, w.certificate), setenv(variableCertificateKey, w.key))
	config, err := client.ConfigFromEnvironment()
	if w.dpopKey != "" {
		config.DPoP, config.DPoPKey = true, client.PrivateKeyFile(w.dpopKey)
	}
	return config, errors.Join(append(problems, err)...)
}

// credentials are the variables that say how the client proves who it is.
var credentials = []string{
	"WRIT_CLIENT_SECRET", "WRIT_CLIENT_SECRET_FILE", "WRIT_CLIENT_SECRET_ROTATE", "WRIT_AUTH_METHOD",
	variablePrivateKey, variableAssertion, variableCertificate, variableCertificateKey,
}

// setenv sets a variable, unless the value is "".
func setenv(name, value string) error {
	if value == "" {
		return nil
	}
	return os.Setenv(name, value)
}
