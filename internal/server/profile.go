package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/oauth"
)

// A Finding is a client or a resource that does not pass the profile of a configuration.
type Finding struct {
	Kind   string `json:"kind"` // client or resource
	Name   string `json:"name"`
	Text   string `json:"text"`   // why it does not pass
	Remedy string `json:"remedy"` // the command that mends it
}

func (f Finding) String() string {
	return fmt.Sprintf("%s %s: %s: %s", f.Kind, f.Name, f.Text, f.Remedy)
}

// CheckProfile looks into the configured database and returns what would be refused under the configured profile. It changes
// nothing, and works beside a server that runs. Where there is no database yet there is nothing to find; an error means that
// the database cannot be read now, and nothing about the configuration.
func CheckProfile(ctx context.Context, config Config) ([]Finding, error) {
	if !config.fapi2() {
		return nil, nil
	}
	options, err := config.storeOptions()
	if err != nil {
		return nil, err
	}
	records, err := sqlstore.OpenReadOnly(ctx, options)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found, err := config.findings(ctx, records, time.Now())
	return found, errors.Join(err, records.Close())
}

// maxWarnings bounds what a start says: a profile that was changed too early must not fill the log.
const maxWarnings = 20

// warnProfile names in the log what would be refused. It does not stop the start: one forgotten client must not take the
// others down.
func (s *Server) warnProfile(ctx context.Context) error {
	if !s.config.fapi2() {
		return nil
	}
	findings, err := s.config.findings(ctx, s.store, s.now())
	for i, f := range findings {
		if i == maxWarnings {
			s.logger.Warn("more do not pass the profile: writ config check names all", "more", len(findings)-i)
			break
		}
		s.logger.Warn("does not pass the profile", f.Kind, f.Name, "reason", f.Text, "remedy", f.Remedy)
	}
	return err
}

// findings judges every record as the authority would, under profile fapi2.
func (c Config) findings(ctx context.Context, records store.Store, now time.Time) ([]Finding, error) {
	var found []Finding
	err := each(ctx, records.Clients(), func(client store.Client) {
		if f := c.judge(client, now); f.Text != "" {
			found = append(found, f)
		}
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, records.Resources(), func(r store.Resource) {
		if r.Format != store.FormatOpaque && !slices.Contains(authority.FAPI2.Algorithms, r.Algorithm) {
			found = append(found, Finding{
				Kind: "resource", Name: r.URI, Text: "its tokens are signed with " + r.Algorithm,
				Remedy: "writ resource delete " + r.URI + ", and create it again with --algorithm ES256",
			})
		}
	})
	return found, err
}

// each calls f for every record of a table.
func each[T store.Record](ctx context.Context, table store.Table[T], f func(T)) error {
	err := store.Each(ctx, table, func(record T) error {
		f(record)
		return nil
	})
	if err != nil {
		return fmt.Errorf("server: profile: %w", err)
	}
	return nil
}

// A verdict gathers why a client does not pass, and what changes that.
type verdict struct {
	reasons, flags, others []string
}

func (v *verdict) mend(reason string, flags ...string) {
	v.reasons, v.flags = append(v.reasons, reason), append(v.flags, flags...)
}

// judge returns a Finding without a text for a client that passes.
func (c Config) judge(client store.Client, now time.Time) Finding {
	var v verdict
	keyed := []string{"--auth-method " + oauth.PrivateKeyJWT, "--public-key FILE"}
	switch {
	case !slices.Contains(authority.FAPI2.AuthMethods, client.AuthMethod):
		v.mend("it authenticates by "+client.AuthMethod, keyed...)
	case client.AuthMethod == oauth.PrivateKeyJWT:
		v.signing(client, now)
	default:
		v.certificate(c.MTLS, client.AuthMethod)
	}
	if client.FormerUntil.After(now) && !slices.Contains(authority.FAPI2.AuthMethods, client.FormerMethod) {
		v.mend("its former method "+client.FormerMethod+" is refused already, and not only from "+client.FormerUntil.Format(time.DateTime), "--keep-former 0")
	}
	v.binding(c.MTLS, client)
	f := Finding{Kind: "client", Name: client.Name, Text: strings.Join(v.reasons, "; ")}
	switch {
	case client.Name == registry.Operator && len(v.flags) > 0:
		f.Remedy = "writ init --new-operator"
	case len(v.flags) > 0:
		f.Remedy = strings.Join(append([]string{"writ client update", client.Name}, v.flags...), " ")
	}
	f.Remedy = strings.Join(append(nonEmpty(f.Remedy), v.others...), "; ")
	return f
}

func nonEmpty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// signing asks whether the client can sign an assertion that is accepted. Of keys that it publishes itself nothing is known.
func (v *verdict) signing(client store.Client, now time.Time) {
	allowed := authority.FAPI2.Algorithms
	if alg := client.SigningAlgorithm; alg != "" && !slices.Contains(allowed, alg) {
		v.mend("its assertions must be signed with "+alg, "--signing-alg ES256")
	}
	good := func(key store.ClientKey) bool {
		return slices.Contains(allowed, key.Algorithm) && (key.Expires.IsZero() || key.Expires.After(now))
	}
	if client.JWKSURI == "" && !slices.ContainsFunc(client.Keys, good) {
		v.reasons = append(v.reasons, "it has no key for "+strings.Join(allowed, ", "))
		v.others = append(v.others, "writ client key add "+client.Name+" --public-key FILE")
	}
}

// certificate asks whether there is a way to show a certificate.
func (v *verdict) certificate(m MTLS, method string) {
	switch {
	case m.Listen == "":
		v.reasons = append(v.reasons, "it authenticates with a certificate, and no listener asks for one")
		v.others = append(v.others, "set mtls.listen")
	case method == oauth.TLSClientAuth && m.ClientCA == "":
		v.reasons = append(v.reasons, "no authority vouches for certificates of clients")
		v.others = append(v.others, "set mtls.client_ca")
	}
}

// binding asks whether the client's tokens are bound to something. A client that only asks about tokens gets none.
func (v *verdict) binding(m MTLS, client store.Client) {
	switch {
	case len(client.Grants) == 0 && len(client.Roles) == 0:
	case client.CertificateBound && m.Listen == "" && client.AuthMethod == oauth.PrivateKeyJWT:
		v.reasons = append(v.reasons, "its tokens are bound to a certificate, and no listener asks for one")
		v.others = append(v.others, "set mtls.listen")
	case client.DPoPBound || client.CertificateBound:
	case client.AuthMethod == oauth.TLSClientAuth || client.AuthMethod == oauth.SelfSignedTLSClientAuth:
		v.mend("its tokens are bound to nothing, unless it sends a DPoP proof by itself", "--bind-certificate")
	default:
		v.mend("its tokens are bound to nothing, unless it sends a DPoP proof by itself", "--dpop")
	}
}
