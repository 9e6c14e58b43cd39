package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

func newToken() *cobra.Command {
	var want wanted
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Get an access token as a client",
		Long: `Get an access token with the client credentials grant and print it.

The client comes from the environment, and flags come first: WRIT_ISSUER, WRIT_CLIENT_ID, and
one of WRIT_PRIVATE_KEY_FILE, WRIT_ASSERTION_FILE, WRIT_CERTIFICATE_FILE with
WRIT_CERTIFICATE_KEY_FILE, WRIT_CLIENT_SECRET_FILE and WRIT_CLIENT_SECRET. Beside a running
"writ dev" it is the demo client.

A token that is bound to a key (--dpop) is of use only with that key: "writ curl" has it, and
with --dpop-key whoever has the file.`,
		Example: `  writ token
  writ token --scope orders:read
  writ token --client billing-4fk2p9qz7a --private-key billing.key
  writ token --client billing-4fk2p9qz7a --certificate billing.crt --key billing.key
  writ token --dpop-key dpop.key
  curl -H "Authorization: Bearer $(writ token)" http://127.0.0.1:8082/orders
  writ token | writ token inspect`,
		Args: noArgs,
	}
	want.flags(cmd)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		source, err := want.source()
		if err != nil {
			return err
		}
		token, err := source.Token(cmd.Context())
		if err != nil {
			return explainToken(err)
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), map[string]any{
				"access_token": token.AccessToken(), "token_type": token.Type, "scope": token.Scope.String(),
				"expires": token.Expires.UTC().Format(time.RFC3339),
			})
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), token.AccessToken())
		return err
	}
	cmd.AddCommand(newTokenInspect())
	return cmd
}

// explainToken says what to look at when the server refuses.
func explainToken(err error) error {
	switch {
	case errors.Is(err, oauth.InvalidClient):
		return advise(err, "is the client registered, not suspended, and the secret or key its own, used by its own method? see: writ client show NAME")
	case errors.Is(err, oauth.InvalidScope):
		return advise(err, "what the client may ask for is in: writ client show NAME")
	case errors.Is(err, oauth.InvalidRequest) && strings.Contains(err.Error(), "DPoP"):
		return advise(err, "ask for a bound token with --dpop, or "+variableDPoP+"=true")
	case errors.Is(err, oauth.InvalidTarget):
		return advise(err, "what there is to ask for is in: writ resource list; compare the URI letter by letter")
	}
	return err
}

func newTokenInspect() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect [TOKEN]",
		Short: "Decode a token and judge it",
		Long: `Decode a token, and judge it as an API would: signature, issuer, audience and expiry.

The token is read from standard input, unless it is given as the argument: arguments are
seen by every process on the machine. Whose token it should be is said by --issuer or
WRIT_ISSUER; without either it is only decoded.

The exit code is 1 when the token is refused.`,
		Example: `  writ token | writ token inspect
  writ token inspect --issuer https://auth.example.com < token.txt`,
		Args: atMostArgs(1),
	}
	issuer := cmd.Flags().String("issuer", "", "`URL` of the issuer that must have issued it (WRIT_ISSUER)")
	audience := cmd.Flags().String("audience", "", "`URI` that must be in its audience (WRIT_RESOURCE)")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := devEnvironment(); err != nil {
			return err
		}
		text, err := tokenArgument(cmd.InOrStdin(), args)
		if err != nil {
			return err
		}
		verdict := judge(cmd.Context(), text, orEnvironment(*issuer, "WRIT_ISSUER"), orEnvironment(*audience, "WRIT_RESOURCE"))
		if *asJSON {
			err = writeJSON(cmd.OutOrStdout(), verdict)
		} else {
			err = verdict.write(cmd.OutOrStdout())
		}
		if err == nil && verdict.Verdict == verdictRefused {
			return silentError{errors.New(verdict.Reason)}
		}
		return err
	}
	return cmd
}

func orEnvironment(value, name string) string {
	if value != "" {
		return value
	}
	return os.Getenv(name)
}

func tokenArgument(stdin io.Reader, args []string) (string, error) {
	if len(args) == 1 && args[0] != "-" {
		return args[0], nil
	}
	data, err := io.ReadAll(io.LimitReader(stdin, 64<<10))
	text := strings.TrimSpace(string(data))
	if err == nil && text == "" {
		err = advise(usageError{errors.New("there is no token on standard input")}, "try: writ token | writ token inspect")
	}
	return text, err
}

// The verdicts on a token.
const (
	verdictGood    = "good"
	verdictRefused = "refused"
	verdictUnknown = "not verified"
)

// A verdict is what can be said about a token.
type verdict struct {
	Format    string        `json:"format"`
	Type      string        `json:"typ,omitempty"`
	Algorithm string        `json:"alg,omitempty"`
	KeyID     string        `json:"kid,omitempty"`
	Claims    *oauth.Claims `json:"claims,omitempty"`
	Bound     []string      `json:"bound,omitempty"`
	Verdict   string        `json:"verdict"`
	Reason    string        `json:"reason,omitempty"`

	payload []byte
}

// judge decodes a token and, given the issuer, verifies it for an audience: the one named or else the token's own.
func judge(ctx context.Context, text, issuer, audience string) verdict {
	if strings.HasPrefix(text, "writ_at_") {
		return verdict{Format: "opaque", Verdict: verdictUnknown, Reason: "an opaque token says nothing by itself; its issuer's introspection endpoint knows"}
	}
	parsed, err := jose.Parse(text)
	if err != nil {
		return verdict{Format: "unknown", Verdict: verdictRefused, Reason: err.Error()}
	}
	v := verdict{Format: "jwt", Type: parsed.Type, Algorithm: parsed.Algorithm, KeyID: parsed.KeyID, payload: parsed.Payload}
	var claims oauth.Claims
	if err := parsed.Decode(&claims); err != nil {
		v.Verdict, v.Reason = verdictRefused, err.Error()
		return v
	}
	v.Claims, v.Bound = &claims, boundTo(claims.Confirmation)
	if issuer == "" {
		v.Verdict, v.Reason = verdictUnknown, "name the issuer to verify it: --issuer "+claims.Issuer
		return v
	}
	if audience == "" && len(claims.Audience) > 0 {
		audience = claims.Audience[0]
	}
	verifier, err := resource.NewVerifier(resource.Config{Issuer: issuer, Audience: audience})
	if err == nil {
		_, err = verifier.Verify(ctx, text)
	}
	if err != nil && !errors.Is(err, resource.ErrBound) { // all that is left is the proof, which no token has in itself
		v.Verdict, v.Reason = verdictRefused, err.Error()
		return v
	}
	v.Verdict = verdictGood
	return v
}

func (v verdict) write(w io.Writer) error {
	paint := paletteFor(w)
	if v.payload != nil {
		fmt.Fprintf(w, "%s typ %s, alg %s, kid %s\n", paint.dim("JWT"), v.Type, v.Algorithm, v.KeyID)
		fmt.Fprintln(w, paint.cyan(withTimes(pretty(v.payload))))
	}
	mark := paint.yellow("? ")
	switch v.Verdict {
	case verdictGood:
		mark = paint.green("✓ ")
		until := time.Until(time.Unix(int64(v.Claims.Expires), 0)).Round(time.Second)
		v.Reason = fmt.Sprintf("issued by %s for %s, and good for another %s", v.Claims.Issuer, strings.Join(v.Claims.Audience, " and "), until)
		if len(v.Bound) > 0 {
			v.Reason += ",\n  from whoever proves to hold what it is bound to: " + strings.Join(v.Bound, " and ")
		}
	case verdictRefused:
		mark = paint.red("✗ ")
	}
	_, err := fmt.Fprintln(w, mark+v.Verdict+": "+v.Reason)
	return err
}

// boundTo says in words what a token is bound to (RFC 7800, 3.1); nothing for a bearer token.
func boundTo(confirmation json.RawMessage) []string {
	var cnf map[string]string
	if err := json.Unmarshal(confirmation, &cnf); err != nil {
		return nil
	}
	var bound []string
	for _, kind := range [][2]string{{"jkt", "the DPoP key "}, {"x5t#S256", "the certificate "}} {
		if thumbprint := cnf[kind[0]]; thumbprint != "" {
			bound = append(bound, kind[1]+thumbprint)
		}
	}
	return bound
}
