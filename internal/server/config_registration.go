package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/remotekeys"
)

func (c Config) checkRegistration(ps *Problems) {
	const field = "registration.software_statements"
	var issuers []string
	for _, text := range c.Registration.SoftwareStatements {
		issuer, keys, err := readVoucher(text)
		if err == nil && !strings.HasPrefix(keys, "https://") {
			_, err = keysInFile(keys)
		}
		if err == nil && slices.Contains(issuers, issuer) {
			err = fmt.Errorf("%q is there twice", issuer)
		}
		if err != nil {
			ps.add(field, "%v", err)
		}
		issuers = append(issuers, issuer)
	}
	if c.Registration.RequireSoftwareStatement && len(c.Registration.SoftwareStatements) == 0 {
		ps.add("registration.require_software_statement", "requires registration.software_statements: nobody could register")
	}
}

// readVoucher reads an issuer and the place of its keys.
func readVoucher(text string) (issuer, keys string, err error) {
	parts := strings.Fields(text)
	if len(parts) != 2 || strings.HasPrefix(parts[1], "http://") {
		return "", "", fmt.Errorf("%q must be an issuer, a space, and the file or the https URL with its keys", text)
	}
	return parts[0], parts[1], nil
}

func keysInFile(path string) ([]jose.Key, error) {
	text, _, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	keys, err := jose.ParseJWKS([]byte(text))
	if err == nil && len(keys) == 0 {
		err = errors.New("no key in it can verify a signature")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "jose: "))
	}
	return keys, nil
}

// vouchers returns whose software statements count. A file is read for each statement: there are few, and it may have changed.
func (c Config) vouchers(remote *remotekeys.Cache) ([]registry.Voucher, error) {
	var vouchers []registry.Voucher
	for _, text := range c.Registration.SoftwareStatements {
		issuer, place, err := readVoucher(text)
		if err != nil {
			return nil, fmt.Errorf("server: registration.software_statements: %w", err)
		}
		voucher := registry.Voucher{Issuer: issuer, Keys: func(context.Context, string) ([]jose.Key, error) { return keysInFile(place) }}
		if strings.HasPrefix(place, "https://") {
			voucher.Keys = func(ctx context.Context, kid string) ([]jose.Key, error) { return published(ctx, remote, place, kid) }
		}
		vouchers = append(vouchers, voucher)
	}
	return vouchers, nil
}

// published returns the keys at a URL, which are fetched anew if the one that is looked for is not among them.
func published(ctx context.Context, remote *remotekeys.Cache, uri, kid string) ([]jose.Key, error) {
	keys, err := remote.Keys(ctx, uri)
	known := slices.ContainsFunc(keys, func(key jose.Key) bool { return key.ID == kid })
	if err == nil && kid != "" && !known && remote.Renew(ctx, uri) {
		return remote.Keys(ctx, uri)
	}
	return keys, err
}

// registrationOptions adds to those of the registry what registrations take.
func (s *Server) registrationOptions(options *registry.Options) (err error) {
	if s.authority == nil { // Init has none
		return nil
	}
	options.Registrable = s.authority.Metadata().TokenEndpointAuthMethodsSupported
	options.RequireStatement = s.config.Registration.RequireSoftwareStatement
	options.Vouchers, err = s.config.vouchers(s.remote)
	return err
}

// registrar returns the registry if clients may register themselves.
func (s *Server) registrar() *registry.Registry {
	if s.config.Registration.Enabled {
		return s.registry
	}
	return nil
}

// registrations are how many of them are borne.
func (c Config) registrations() authority.Throttle {
	return authority.RegistrationsAMinute(c.Registration.PerMinute)
}
