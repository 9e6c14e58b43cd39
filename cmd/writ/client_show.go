package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
)

func newClientShow(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a client: how it authenticates, what it may, and what of it was used lately",
		Example: "  writ client show billing",
		Args:    exactArgs("NAME"),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = as.lookingAtClient(func(out io.Writer, client admin.Client) error { return showClient(out, *asJSON, client) })
	return cmd
}

// lookingAtClient is what a command does that shows something of the client that it names.
func (o *operatorFlag) lookingAtClient(show func(out io.Writer, client admin.Client) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		api, err := o.connect()
		if err != nil {
			return err
		}
		client, err := api.Client(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return show(cmd.OutOrStdout(), client)
	}
}

func showClient(out io.Writer, asJSON bool, client admin.Client) error {
	if asJSON {
		return writeJSON(out, client)
	}
	ttl := ""
	if client.TokenTTLSeconds > 0 {
		ttl = (time.Duration(client.TokenTTLSeconds) * time.Second).String()
	}
	fields := []string{"name", client.ClientName, "client ID", client.ID, "status", status(client)}
	fields = append(fields, describeAuthentication(client, true)...)
	fields = append(fields, describeSaid(client)...)
	fields = append(fields, "token life", ttl, "token reuse", describeReuse(client.TokenReuseSeconds), "created", second(client.Created), "updated", second(client.Updated))
	for _, grant := range client.Grants {
		defaults := "no default"
		if len(grant.Defaults) > 0 {
			defaults = "by default " + strings.Join(grant.Defaults, " ")
		}
		fields = append(fields, "may", strings.Join(grant.Scopes, " ")+" at "+grant.Resource+" ("+defaults+")")
	}
	fields = append(fields, "roles", strings.Join(client.Roles, " "), "introspects for", strings.Join(client.ResourceServerFor, " "))
	fields = append(fields, describeRegistration(client.Registration)...)
	fields = append(fields, describeScopeUses(client, time.Now())...)
	return writeFields(out, fields...)
}

func second(t time.Time) string { return t.Local().Format(time.DateTime) }

// describeAuthentication says how a client proves who it is, and what its tokens are bound to, in names and values; with
// lives also how long each secret and key counts and when it was last used, which tells an operator what is still needed.
func describeAuthentication(client admin.Client, lives bool) []string {
	fields := []string{"method", client.TokenEndpointAuthMethod}
	if client.FormerMethod != "" {
		fields = append(fields, "former method", client.FormerMethod+", until "+second(client.FormerUntil))
	}
	for _, key := range client.Keys {
		fields = append(fields, "key", nameKey(key))
		if lives {
			fields = append(fields, "", life(key.Created, key.Expires), "", describeLimit(key.Limit), "", lastUse(key.LastUse))
		}
	}
	for _, secret := range client.Secrets {
		if lives {
			name := secret.ID
			if secret.Name != "" {
				name += " (" + secret.Name + ")"
			}
			fields = append(fields, "secret", name+", "+life(secret.Created, secret.Expires), "", describeLimit(secret.Limit), "", lastUse(secret.LastUse))
		}
	}
	if client.RotatesSecrets {
		fields = append(fields, "", "may rotate its secret itself")
	}
	fields = append(fields, "keys at", client.JWKSURI, "signed with", client.TokenEndpointAuthSigningAlg)
	for _, rule := range [][2]string{
		{"subject", client.TLSClientAuthSubjectDN},
		{"DNS name", client.TLSClientAuthSANDNS},
		{"URI", client.TLSClientAuthSANURI},
		{"IP address", client.TLSClientAuthSANIP},
		{"mail address", client.TLSClientAuthSANEmail},
	} {
		if rule[1] != "" {
			fields = append(fields, "certificate", rule[0]+" "+rule[1])
		}
	}
	for _, use := range client.Uses {
		fields = append(fields, "", use.Credential+", "+lastUse(use.LastUse))
	}
	var bound []string
	if client.DPoPBoundAccessTokens {
		bound = append(bound, "to a DPoP key")
	}
	if client.TLSClientCertificateBoundAccessTokens {
		bound = append(bound, "to its certificate")
	}
	return append(fields, "tokens bound", strings.Join(bound, " and "))
}

func nameKey(key admin.ClientKey) string {
	text := key.ID + " (" + key.Algorithm + ")"
	if key.CertificateSubject != "" {
		text += ", certificate of " + key.CertificateSubject + " until " + second(key.CertificateExpires)
	}
	return text
}

func life(created, expires time.Time) string {
	if expires.IsZero() {
		return "made " + second(created) + ", does not expire"
	}
	return "made " + second(created) + ", expires " + second(expires)
}

// lastUse says when something was last used. The server writes that down every few seconds.
func lastUse(use admin.LastUse) string {
	if use.LastUsed.IsZero() {
		return "never used"
	}
	text := fmt.Sprintf("last used %s", second(use.LastUsed))
	if use.LastUsedFrom != "" {
		text += " from " + use.LastUsedFrom
	}
	if use.LastUsedBy != "" {
		text += " by " + use.LastUsedBy
	}
	return text
}
