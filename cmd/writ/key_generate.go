package main

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// A generation is what writ key generate is told.
type generation struct {
	algorithm, format string
	out, publicOut    string
	certificate       string // file
	subject           certificateSubject
}

func newKeyGenerate() *cobra.Command {
	var g generation
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Make a key pair for a client",
		Long: `Make a key pair with which a client proves who it is. Run it where the client runs: the
private half is written to a file that only you can read, and never leaves the machine. The
public half goes to standard output, or to --public-out: that is what is registered.

With --certificate a certificate is made as well, which the key itself signs, for mutual TLS
with self_signed_tls_client_auth. No file is ever overwritten.`,
		Example: `  writ key generate --out billing.key --public-out billing.pub
  writ key generate --algorithm Ed25519 --format pem --out billing.key > billing.pem
  writ key generate --out billing.key --certificate billing.crt --san-dns billing.example.com`,
		Args: noArgs,
	}
	g.flags(cmd)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := g.check(cmd, *asJSON); err != nil {
			return err
		}
		pair, err := g.make()
		if err != nil {
			return err
		}
		if err := g.write(cmd.OutOrStdout(), pair); err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), g.describe(pair))
		}
		return g.tell(cmd.OutOrStdout(), cmd.ErrOrStderr(), pair)
	}
	return cmd
}

func (g *generation) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&g.algorithm, "algorithm", jose.ES256, "`ALG` to sign with: ES256, Ed25519, PS256, ES384, EdDSA, RS256\n")
	flags.StringVar(&g.format, "format", "", "`FORMAT` of the files: jwk, or pem, which is what --certificate has")
	flags.StringVar(&g.out, "out", "client.key", "`FILE` for the private half; - is standard output\n")
	flags.StringVar(&g.publicOut, "public-out", "", "`FILE` for the public half, instead of standard output")
	flags.StringVar(&g.certificate, "certificate", "", "`FILE` for a self-signed certificate of the key")
	g.subject.flags(flags)
	complete(cmd, "algorithm", jose.ES256, jose.Ed25519, jose.PS256, jose.ES384, jose.EdDSA, jose.RS256)
	complete(cmd, "format", formatJWK, formatPEM)
	for _, name := range []string{"out", "public-out", "certificate"} {
		_ = cmd.MarkFlagFilename(name) // fails only for a flag that is not there
	}
}

// Formats of keys in files.
const (
	formatJWK = "jwk"
	formatPEM = "pem"
)

// check refuses what contradicts itself before anything is made.
func (g *generation) check(cmd *cobra.Command, asJSON bool) error {
	if g.format == "" {
		g.format = formatJWK
		if g.certificate != "" {
			g.format = formatPEM // what speaks TLS reads no JWK
		}
	}
	described := g.subject.given(cmd.Flags())
	switch {
	case !jose.Known(g.algorithm):
		return usageError{fmt.Errorf("--algorithm %q is none of %s", g.algorithm, strings.Join(jose.Algorithms, ", "))}
	case g.format != formatJWK && g.format != formatPEM:
		return usageError{fmt.Errorf("--format %q is neither jwk nor pem", g.format)}
	case g.format == formatJWK && g.certificate != "":
		return usageError{errors.New("--certificate needs --format pem")}
	case g.certificate == "" && described != "":
		return advise(usageError{fmt.Errorf("--%s describes a certificate, and none is asked for", described)}, "say where it goes: --certificate FILE")
	case g.out == "-" && asJSON:
		return usageError{errors.New("--json and --out - both write to standard output")}
	case g.out == "-" && g.publicOut == "" && g.certificate == "":
		return advise(usageError{errors.New("--out - leaves the public half no place")}, "say where it goes: --public-out FILE")
	}
	return nil
}

// describe is the pair for programs, without its private half.
func (g *generation) describe(pair keyPair) map[string]any {
	d := map[string]any{"algorithm": g.algorithm, "key_id": pair.public.ID, "private_key_file": g.out, "public_key": json.RawMessage(pair.jwk)}
	if g.publicOut != "" {
		d["public_key_file"] = g.publicOut
	}
	if g.certificate != "" {
		d["certificate_file"], d["certificate_thumbprint"] = g.certificate, pair.thumbprint()
	}
	return d
}

// tell says where the halves are, and what to do with the public one. Where that one goes to standard output, the words
// go to standard error.
func (g *generation) tell(out, errOut io.Writer, pair keyPair) error {
	switch {
	case g.out == "-":
		return nil
	case g.publicOut == "" && g.certificate == "":
		fmt.Fprintf(errOut, "The private half is in %s, and stays there. The public half, to be registered:\n", g.out)
		_, err := out.Write(pair.publicFile)
		return err
	}
	file, option, method := g.publicOut, "--public-key", oauth.PrivateKeyJWT
	if g.certificate != "" {
		file, option, method = g.certificate, "--certificate", oauth.SelfSignedTLSClientAuth
	}
	fields := []string{"private key", g.out + "   for you alone: it stays on this machine", "public key", g.publicOut, "key ID", pair.public.ID, "algorithm", g.algorithm}
	if g.certificate != "" {
		fields = append(fields, "certificate", g.certificate, "good until", moment(pair.public.Certificate.NotAfter))
	}
	if err := writeFields(out, fields...); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nNext: writ client create NAME --auth-method %s %s %s\n", method, option, argument(file))
	return err
}

// A keyPair is a new key with what is written of it.
type keyPair struct {
	private     crypto.Signer
	public      jose.Key
	jwk         []byte // public
	privateFile []byte
	publicFile  []byte
}

func (g *generation) make() (keyPair, error) {
	private, id, err := nameable(g.algorithm)
	if err != nil {
		return keyPair{}, err
	}
	pair := keyPair{private: private, public: jose.Key{ID: id, Algorithm: g.algorithm, Public: private.Public()}}
	if g.certificate != "" {
		if pair.public.Certificate, err = g.subject.selfSigned(private); err != nil {
			return keyPair{}, err
		}
	}
	if pair.jwk, err = jose.MarshalPublic(pair.public); err != nil {
		return keyPair{}, err
	}
	if g.format == formatPEM {
		pair.privateFile, pair.publicFile, err = encodePEM(private)
		return pair, err
	}
	pair.privateFile, err = jose.MarshalPrivate(private, g.algorithm)
	pair.privateFile, pair.publicFile = append(pair.privateFile, '\n'), append(pair.jwk[:len(pair.jwk):len(pair.jwk)], '\n')
	return pair, err
}

// nameable makes a key whose ID can be an argument of a command: one in 64 would begin with "-", as an option does.
func nameable(algorithm string) (crypto.Signer, string, error) {
	for {
		private, err := jose.GenerateKey(algorithm)
		if err != nil {
			return nil, "", err
		}
		id, err := jose.Thumbprint(private.Public())
		if err != nil || !strings.HasPrefix(id, "-") {
			return private, id, err
		}
	}
}

// write writes the files; if one cannot be written there is none.
func (g *generation) write(out io.Writer, pair keyPair) error {
	files := []newFile{{g.publicOut, 0o644, pair.publicFile}}
	if g.certificate != "" {
		files = append(files, newFile{g.certificate, 0o644, encodeCertificate(pair.public.Certificate)})
	}
	if g.out != "-" {
		files = append(files, newFile{g.out, 0o600, pair.privateFile})
	}
	if err := writeNew(files...); err != nil {
		return err
	}
	if g.out == "-" {
		_, err := out.Write(pair.privateFile)
		return err
	}
	return nil
}
