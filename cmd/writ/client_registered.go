package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// keep writes the client's variables to a file, and says so without the secret.
func (r *registration) keep(out io.Writer, asJSON bool, made admin.Registered, issuer string) error {
	variables, missing, err := r.variables(made, issuer)
	if err != nil {
		return err
	}
	path, err := filepath.Abs(r.env)
	if err != nil {
		return err
	}
	if err := writeEnvironment(path, variables...); err != nil {
		return err
	}
	if asJSON {
		return writeJSON(out, made.Client)
	}
	content := "Its variables are in "
	if made.Secret.Reveal() != "" {
		content = "Its variables, secret included, are in "
	}
	fmt.Fprintf(out, "Registered %s. %s%s.\n", made.ID, content, r.env)
	if !mayHave(made) {
		return nil
	}
	fmt.Fprintf(out, "\nA first token%s:\n\n  . %s\n", whereKeyIs(missing), sourceable(r.env))
	for _, name := range missing {
		fmt.Fprintf(out, "  export %s=FILE\n", name)
	}
	_, err = fmt.Fprintln(out, "  writ token")
	return err
}

// variables returns the client's variables, names and values in turn, and the names of those whose value is not known
// here: where the client has its key.
func (r *registration) variables(made admin.Registered, issuer string) (pairs, missing []string, err error) {
	pairs = []string{"WRIT_ISSUER", issuer, "WRIT_CLIENT_ID", made.ID, "WRIT_AUTH_METHOD", made.TokenEndpointAuthMethod}
	if secret := made.Secret.Reveal(); secret != "" {
		pairs = append(pairs, "WRIT_CLIENT_SECRET", secret)
	}
	if r.resource != "" {
		pairs = append(pairs, "WRIT_RESOURCE", r.resource)
	}
	if made.DPoPBoundAccessTokens {
		pairs = append(pairs, variableDPoP, "true")
	}
	files := r.auth.files(made.ClientMetadata)
	for i := 0; i+1 < len(files); i += 2 {
		name, file := files[i], files[i+1]
		if file == "" {
			missing = append(missing, name)
			continue
		}
		if file, err = filepath.Abs(file); err != nil {
			return nil, nil, err
		}
		pairs = append(pairs, name, file)
	}
	return pairs, missing, nil
}

func whereKeyIs(missing []string) string {
	if len(missing) > 0 {
		return ", where the client has its key"
	}
	return ""
}

// files returns the variables that name the files of a client, each with the file if it is on this machine.
func (a *authentication) files(m oauth.ClientMetadata) (pairs []string) {
	certificate := m.TLSClientCertificateBoundAccessTokens
	switch m.TokenEndpointAuthMethod {
	case oauth.PrivateKeyJWT:
		private := ""
		if len(a.publicKeys) > 0 {
			private = privateHalf(a.publicKeys[0])
		}
		pairs = append(pairs, variablePrivateKey, private)
	case oauth.TLSClientAuth, oauth.SelfSignedTLSClientAuth:
		certificate = true
	}
	if certificate {
		pairs = append(pairs, variableCertificate, a.certificate, variableCertificateKey, privateHalf(a.certificate))
	}
	return pairs
}

// privateHalf returns the file NAME.key beside NAME.pub or NAME.crt, if the key in it is the other half; else "". It is
// read to compare, and only its name goes on.
func privateHalf(public string) string {
	if public == "" {
		return ""
	}
	name := strings.TrimSuffix(public, filepath.Ext(public)) + ".key"
	data, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	signer, err := jose.ParseSigner(data, "")
	if err != nil {
		return ""
	}
	keys, err := readPublic("", public)
	if err != nil {
		return ""
	}
	mine, err := jose.Thumbprint(signer.Key().Public)
	if other, otherErr := jose.Thumbprint(keys[0].Public); err != nil || otherErr != nil || mine != other {
		return ""
	}
	return name
}

// show prints the client, its secret this once, and the commands to a first token.
func (r *registration) show(out io.Writer, made admin.Registered, issuer string) error {
	paint := paletteFor(out)
	title := "Registered. It has no secret: who it is, it proves by " + proofOf(made.TokenEndpointAuthMethod) + "."
	if made.Secret.Reveal() != "" {
		title = "Registered. The secret is shown this once; only a hash of it is kept."
	}
	fmt.Fprintln(out, paint.bold(title))
	fmt.Fprintln(out)
	fields := append([]string{"client ID", made.ID, "secret", made.Secret.Reveal()}, describeAuthentication(made.Client, false)...)
	fields = append(fields, describeSaid(made.Client)...)
	if err := writeFields(out, append(fields, "may", describeGrants(made.Client))...); err != nil {
		return err
	}
	_, err := fmt.Fprint(out, r.first(made, issuer))
	return err
}

// proofOf says what a client without a secret has instead.
func proofOf(method string) string {
	if method == oauth.PrivateKeyJWT {
		return "its key"
	}
	return "its certificate"
}

// mayHave reports whether a client may have any token: one that only asks about those of others may not.
func mayHave(made admin.Registered) bool { return len(made.Grants) > 0 || len(made.Roles) > 0 }

// first returns the command to a first token, if there can be one.
func (r *registration) first(made admin.Registered, issuer string) string {
	switch {
	case !mayHave(made):
		return ""
	case made.Secret.Reveal() == "":
		return "\nA first token, where the client has its key:\n\n  " + r.tokenCommand(made, issuer) + "\n"
	case made.DPoPBoundAccessTokens || made.TLSClientCertificateBoundAccessTokens: // curl alone does not do
		return "\nA first token, with the secret in the file SECRET:\n\n  " + r.tokenCommand(made, issuer) + "\n"
	}
	credentials := `-u "` + made.ID + `:$SECRET"`
	if made.TokenEndpointAuthMethod == oauth.ClientSecretPost {
		credentials = "-d client_id=" + made.ID + ` -d "client_secret=$SECRET"`
	}
	return "\nA first token, with the secret in SECRET:\n\n  curl " + credentials + " -d grant_type=client_credentials " + issuer + "/token\n"
}

func (r *registration) tokenCommand(made admin.Registered, issuer string) string {
	var before []string // of what accompanies a secret there are variables only
	if made.Secret.Reveal() != "" {
		before = []string{"WRIT_CLIENT_SECRET_FILE=SECRET"}
		if made.TokenEndpointAuthMethod != oauth.ClientSecretBasic {
			before = append(before, "WRIT_AUTH_METHOD="+made.TokenEndpointAuthMethod)
		}
	}
	words := []string{"writ", "token", "--issuer", issuer, "--client", made.ID}
	if r.resource != "" {
		words = append(words, "--resource", argument(r.resource))
	}
	files := r.auth.files(made.ClientMetadata)
	for i := 0; i+1 < len(files); i += 2 {
		file := files[i+1]
		if file == "" {
			file = "FILE"
		}
		if before != nil {
			before = append(before, files[i]+"="+argument(file))
			continue
		}
		words = append(words, fileFlags[files[i]], argument(file))
	}
	if made.DPoPBoundAccessTokens {
		words = append(words, "--dpop")
	}
	return strings.Join(append(before, words...), " ")
}
