package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/internal/server"
	"github.com/writ-auth/writ/oauth"
)

func newRegistration() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "registration",
		Short: "Let clients register themselves (RFC 7591)",
		Long: `Clients may register themselves when the server is configured with registration.enabled. Each
needs an initial access token, which says what they may have at most.`,
		Example: "  writ registration token create partners --resource https://api.example.com --scope \"orders:read\"\n  writ registration token list",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	token := &cobra.Command{
		Use:     "token",
		Short:   "Look after initial access tokens",
		Example: "  writ registration token list",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var as operatorFlag
	as.flags(cmd)
	token.AddCommand(newInitialTokenCreate(&as), newInitialTokenList(&as), newInitialTokenShow(&as), newInitialTokenRevoke(&as))
	cmd.AddCommand(token)
	return cmd
}

// initialTokenFlags are what writ registration token create is told.
type initialTokenFlags struct {
	client                        registration // what a client may have
	grants                        []string
	methods, networks             []string
	uses                          int64
	expires, firstUse, idle, life span
	out                           string
}

// A span is a length of time on the command line, with days: 7d, 12h, 90s.
type span time.Duration

// Set, String and Type are how flags are read and shown.
func (s *span) Set(text string) error {
	if text == "0" {
		*s = 0
		return nil
	}
	length, err := server.ParseDuration(text)
	*s = span(length)
	return err
}

func (s *span) String() string {
	if *s == 0 {
		return "0"
	}
	return server.Duration(*s).String()
}

// Type names the kind of value.
func (*span) Type() string { return "duration" }

func (s span) seconds() int64 { return int64(time.Duration(s) / time.Second) }

func newInitialTokenCreate(as *operatorFlag) *cobra.Command {
	const day = span(24 * time.Hour)
	f := initialTokenFlags{expires: 7 * day, firstUse: day, idle: 90 * day}
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make an initial access token; it is shown this once",
		Long: `Make a token with which clients register themselves. It says the most that such a client may
have: scopes of resources, how it authenticates, how long its tokens live. It counts for so
many clients and until it expires. A client that nobody uses is deleted by itself.

Whoever has the token can register a client: give it to those who should, and to nobody else.`,
		Example: `  writ registration token create partners --resource https://api.example.com --scope "orders:read"
  writ registration token create ci --grant "https://api.example.com=orders:read" --uses 50
  writ registration token create night --grant "https://api.example.com=orders:read" --idle 7d`,
		Args: exactArgs("NAME"),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.client.resource, "resource", "", "`URI` of the resource that a client may ask tokens for")
	flags.StringVar(&f.client.scope, "scope", "", "`SCOPES` of the resource that it may have, separated by spaces")
	flags.StringVar(&f.client.defaults, "default-scope", "", "`SCOPES` when it asks for none: all of them, or \"-\" for none")
	flags.StringArrayVar(&f.grants, "grant", nil, "`RESOURCE=SCOPES` of a further resource; may be repeated")
	flags.StringSliceVar(&f.methods, "auth-method", nil, "`METHOD` that a client may choose; may be repeated; else all there are")
	flags.StringSliceVar(&f.networks, "network", nil, "`CIDR` that clients may register from; may be repeated;\nelse from anywhere")
	flags.Int64Var(&f.uses, "uses", 1, "`N` clients may register with it")
	flags.Var(&f.expires, "expires", "for how `LONG` it counts, at most 366d")
	flags.Var(&f.firstUse, "first-use", "for how `LONG` a client may go unused after it registered")
	flags.Var(&f.idle, "idle", "for how `LONG` a client may go unused later")
	flags.Var(&f.life, "ttl", "how `LONG` tokens of a client live at most;\n0s: what the resource says")
	flags.StringVar(&f.out, "out", "", "`FILE` to make with the token in it, mode 0600, instead of showing it")
	_ = cmd.MarkFlagFilename("out") // fails only for a flag that is not there
	complete(cmd, "auth-method", oauth.ClientSecretBasic, oauth.ClientSecretPost, oauth.PrivateKeyJWT, oauth.TLSClientAuth, oauth.SelfSignedTLSClientAuth)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		settings, err := f.settings(args[0])
		if err != nil {
			return err
		}
		if _, err := os.Lstat(f.out); f.out != "" && err == nil {
			return advise(fmt.Errorf("%s is there already", f.out), "a token is never overwritten: name another file, or move this one away")
		}
		api, err := as.connect()
		if err != nil {
			return err
		}
		made, err := api.CreateInitialToken(cmd.Context(), settings)
		if err != nil {
			return err
		}
		return f.show(cmd.OutOrStdout(), *asJSON, made, api.credential.Issuer)
	}
	return cmd
}

func (f *initialTokenFlags) settings(name string) (admin.InitialTokenSettings, error) {
	settings := admin.InitialTokenSettings{
		Name: name, AuthMethods: f.methods, Networks: f.networks, MaxUses: f.uses, Expires: time.Now().Add(time.Duration(f.expires)),
		FirstUseSeconds: f.firstUse.seconds(), IdleSeconds: f.idle.seconds(), TokenTTLSeconds: f.life.seconds(),
	}
	const such = `such as: --resource https://api.example.com --scope "orders:read"`
	if (f.client.resource == "") != (f.client.scope == "") {
		return settings, advise(usageError{errors.New("--resource and --scope go together")}, such)
	}
	if f.client.resource != "" {
		settings.Grants = []oauth.Grant{{Resource: f.client.resource, Scopes: strings.Fields(f.client.scope), Defaults: f.client.defaultScopes()}}
	}
	for _, text := range f.grants {
		grant, err := parseGrant(text)
		if err != nil {
			return settings, err
		}
		settings.Grants = append(settings.Grants, grant)
	}
	if len(settings.Grants) == 0 {
		return settings, advise(usageError{errors.New("it is not said what a client may ask for")}, such)
	}
	return settings, nil
}

// show prints the token this once, or writes it to the file that was named.
func (f *initialTokenFlags) show(out io.Writer, asJSON bool, made admin.NewInitialToken, issuer string) error {
	if f.out != "" {
		if err := writeNew(newFile{f.out, 0o600, []byte(made.Token.Reveal() + "\n")}); err != nil {
			return advise(fmt.Errorf("the token %s was made, and could not be written: %w", made.Name, err),
				"revoke it, and try again: writ registration token revoke "+made.Name)
		}
	}
	switch {
	case asJSON && f.out != "":
		return writeJSON(out, made.InitialToken)
	case asJSON:
		return writeJSON(out, made)
	}
	place, fields := "the token in the file TOKEN", []string{"token", made.Token.Reveal()}
	title := "Made. The token is shown this once; only a hash of it is kept."
	if f.out != "" {
		title, place, fields = "Made. The token is in "+f.out+".", "", nil
	}
	fmt.Fprintf(out, "%s\n\n", paletteFor(out).bold(title))
	if err := writeFields(out, append(fields, describeInitialToken(made.InitialToken)...)...); err != nil {
		return err
	}
	file := "TOKEN"
	if f.out != "" {
		file = argument(f.out)
	}
	if place != "" {
		place = ", with " + place
	}
	_, err := fmt.Fprintf(out, `
A client registers itself%s:

  curl -H "Authorization: Bearer $(cat %s)" -H "Content-Type: application/json" \
    -d '{"client_name": "My client"}' %s/register
`, place, file, issuer)
	return err
}

// describeInitialToken says in names and values what a token is good for.
func describeInitialToken(t admin.InitialToken) []string {
	fields := []string{"name", t.Name, "token ID", t.ID}
	for _, may := range describeGrantList(t.Grants) {
		fields = append(fields, "a client may", may)
	}
	length := func(seconds int64) string { return server.Duration(time.Duration(seconds) * time.Second).String() }
	if t.TokenTTLSeconds > 0 {
		fields = append(fields, "token life", length(t.TokenTTLSeconds))
	}
	return append(fields,
		"methods", strings.Join(t.AuthMethods, " "), "networks", strings.Join(t.Networks, " "),
		"clients", fmt.Sprintf("%d of %d", t.Used, t.MaxUses), "expires", second(t.Expires),
		"unused clients go", "after "+length(t.FirstUseSeconds)+", later after "+length(t.IdleSeconds),
	)
}

func newInitialTokenList(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List initial access tokens", Example: "  writ registration token list", Args: noArgs}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := as.connect()
		if err != nil {
			return err
		}
		rows := [][]string{}
		var all []admin.InitialToken
		for token, err := range api.InitialTokens(cmd.Context()) {
			if err != nil {
				return err
			}
			all = append(all, token)
		}
		slices.SortFunc(all, func(a, b admin.InitialToken) int { return strings.Compare(a.Name, b.Name) })
		for _, t := range all {
			rows = append(rows, []string{
				t.Name, t.ID, fmt.Sprintf("%d of %d", t.Used, t.MaxUses), initialTokenStatus(t, time.Now()), moment(t.Expires), strings.Join(describeGrantList(t.Grants), "; "),
			})
		}
		return writeList(cmd.OutOrStdout(), *asJSON, all, []string{"NAME", "TOKEN ID", "CLIENTS", "STATUS", "EXPIRES", "A CLIENT MAY"}, rows)
	}
	return cmd
}

func initialTokenStatus(t admin.InitialToken, now time.Time) string {
	switch {
	case !now.Before(t.Expires):
		return "expired"
	case t.Used >= t.MaxUses:
		return "used up"
	}
	return "active"
}

func newInitialTokenShow(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{Use: "show NAME", Short: "Show an initial access token", Example: "  writ registration token show partners", Args: exactArgs("NAME")}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := as.connect()
		if err != nil {
			return err
		}
		token, err := api.InitialToken(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), token)
		}
		return writeFields(cmd.OutOrStdout(), append(describeInitialToken(token), "status", initialTokenStatus(token, time.Now()))...)
	}
	return cmd
}

func newInitialTokenRevoke(as *operatorFlag) *cobra.Command {
	return newOrder(as, &cobra.Command{
		Use:   "revoke NAME",
		Short: "Revoke an initial access token: nobody registers with it any more",
		Long: `Revoke an initial access token. The clients that registered with it stay what they are: list them
with writ client list, and suspend or delete those that should not be there.`,
		Example: "  writ registration token revoke partners",
		Args:    exactArgs("NAME"),
	}, "revoked", "Revoked %s. The clients that registered with it stay.\n", (*admin.API).RevokeInitialToken)
}

// describeRegistration says in names and values how a client came to be that registered itself.
func describeRegistration(from *admin.Registration) []string {
	if from == nil {
		return nil
	}
	token := from.InitialToken
	if from.InitialTokenName != "" {
		token = from.InitialTokenName + " (" + token + ")"
	}
	fields := []string{"registered", "by itself, with the initial access token " + token, "software", from.Software}
	described := map[string]any{}
	_ = json.Unmarshal(from.Described, &described) // ours
	for _, name := range slices.Sorted(maps.Keys(described)) {
		fields = append(fields, "it says", fmt.Sprintf("%s: %v", name, described[name]))
	}
	if !from.Goes.IsZero() {
		fields = append(fields, "goes if unused", second(from.Goes))
	}
	return fields
}
