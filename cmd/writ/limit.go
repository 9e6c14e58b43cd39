package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/oauth"
)

// limitFlags say what a credential is good for at most.
type limitFlags struct {
	ttl      time.Duration
	scope    string
	networks []string
}

func (f *limitFlags) flags(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.ttl, "ttl", 0, "longest life of tokens obtained with it, such as 2m; 0: the client's")
	cmd.Flags().StringVar(&f.scope, "scope", "", "`SCOPES` that can be had with it, of those that the client may have")
	cmd.Flags().StringArrayVar(&f.networks, "network", nil, "`NETWORK` (CIDR, or an address) that it may be used from;\nmay be repeated; none: where the client may ask from")
}

func (f *limitFlags) limit() admin.Limit {
	return admin.Limit{TokenTTLSeconds: int64(f.ttl / time.Second), Scopes: strings.Fields(f.scope), Networks: f.networks}
}

// describeLimit says a ceiling in a line, "" for none.
func describeLimit(of admin.Limit) string {
	var parts []string
	if len(of.Scopes) > 0 {
		parts = append(parts, "for "+strings.Join(of.Scopes, " "))
	}
	if of.TokenTTLSeconds > 0 {
		parts = append(parts, "for tokens of "+(time.Duration(of.TokenTTLSeconds)*time.Second).String())
	}
	if len(of.Networks) > 0 {
		parts = append(parts, "from "+strings.Join(of.Networks, " "))
	}
	if len(parts) == 0 {
		return ""
	}
	return "only " + strings.Join(parts, ", ")
}

// saidFlags are where a client may ask from, and what its tokens say.
type saidFlags struct{ networks, claims []string }

func (f *saidFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.networks, "network", nil, "`NETWORK` (CIDR, or an address) that it may ask from; may be\nrepeated; \"-\": from anywhere")
	cmd.Flags().StringArrayVar(&f.claims, "claim", nil, "claim that each of its tokens holds as well, as `NAME=JSON`,\nsuch as tenant='\"acme\"'; may be repeated; NAME= takes it away")
}

// apply puts what was said into metadata. Networks that are named are all that there are; claims are added to those there are.
func (f *saidFlags) apply(m *oauth.ClientMetadata) error {
	switch {
	case slices.Equal(f.networks, []string{"-"}):
		m.Networks = nil
	case slices.Contains(f.networks, "-"):
		return usageError{errors.New(`--network "-" means from anywhere: give it alone, or networks`)}
	case len(f.networks) > 0:
		m.Networks = f.networks
	}
	if len(f.claims) == 0 {
		return nil
	}
	claims := map[string]json.RawMessage{}
	if len(m.Claims) > 0 {
		if err := json.Unmarshal(m.Claims, &claims); err != nil {
			return fmt.Errorf("the claims of the client: %w", err)
		}
	}
	for _, text := range f.claims {
		name, value, found := strings.Cut(text, "=")
		switch {
		case !found || name == "":
			return usageError{fmt.Errorf("--claim %s: take NAME=JSON, such as tenant='\"acme\"'", steady(text))}
		case value == "":
			delete(claims, name)
		case !json.Valid([]byte(value)):
			return advise(usageError{fmt.Errorf("--claim %s: the value is not JSON", steady(name))}, "text stands in double quotes, and those in single ones for the shell: --claim "+argument(name)+`='"acme"'`)
		default:
			claims[name] = json.RawMessage(value)
		}
	}
	var err error
	m.Claims, err = json.Marshal(claims)
	return err
}

// describeSaid says where a client may ask from, and what its tokens say, in names and values.
func describeSaid(client admin.Client) []string {
	fields := []string{"networks", strings.Join(client.Networks, " "), "claims", oneLine(client.Claims)}
	for _, grant := range client.Grants {
		if len(grant.Claims) > 0 {
			fields = append(fields, "", oneLine(grant.Claims)+" at "+grant.Resource)
		}
	}
	return fields
}

func oneLine(object json.RawMessage) string {
	var line bytes.Buffer
	if json.Compact(&line, object) != nil {
		return ""
	}
	return line.String()
}

// leftOutside says from where a client was used lately and can be used no more; "" if that cannot be told.
func leftOutside(client admin.Client) string {
	var uses []admin.LastUse
	for _, secret := range client.Secrets {
		uses = append(uses, secret.LastUse)
	}
	for _, key := range client.Keys {
		uses = append(uses, key.LastUse)
	}
	for _, use := range client.Uses {
		uses = append(uses, use.LastUse)
	}
	for _, use := range uses {
		address, err := netip.ParseAddr(use.LastUsedFrom)
		if err != nil || len(client.Networks) == 0 || slices.ContainsFunc(client.Networks, func(text string) bool {
			network, err := netip.ParsePrefix(text)
			return err == nil && network.Contains(address)
		}) {
			continue
		}
		text := "It was last used from " + use.LastUsedFrom + ", which is in none of its networks: from there it is refused now."
		if address.IsPrivate() || address.IsLoopback() {
			text += "\nIf that is the address of a proxy, name it in trusted_proxies: then the address counts that it reports."
		}
		return text
	}
	return ""
}
