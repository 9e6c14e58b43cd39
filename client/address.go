package client

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strings"

	"github.com/writ-auth/writ/oauth"
)

// checkIssuer holds an issuer to RFC 8414, 2: an https URL without query and fragment. http is taken on loopback, where
// nobody listens in between.
func checkIssuer(issuer string) error {
	if strings.Contains(issuer, "?") {
		return fmt.Errorf("%q has a query", oauth.SafeText(issuer))
	}
	return checkEndpoint(issuer, true)
}

// checkEndpoint refuses the addresses that a credential must not be sent to: anything but https, except http on
// loopback where that is allowed.
func checkEndpoint(address string, loopback bool) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || strings.Contains(address, "#"):
		return fmt.Errorf("%q is not an absolute URL without user and fragment", oauth.SafeText(address))
	case u.Scheme == "https", loopback && u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q is not https", oauth.SafeText(address))
}

func isLoopback(host string) bool {
	if lower(host) == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// A place is where a token may be sent.
type place struct {
	scheme string // empty: https, or http on loopback
	host   string // lower case, with port
	path   string // prefix without final slash
}

// placesFor returns where a token for resource may be sent. A resource that is not a web address names none.
func placesFor(resource string, hosts []string) []place {
	var places []place
	if u, err := url.Parse(resource); err == nil && u.Host != "" {
		places = append(places, place{scheme: u.Scheme, host: hostPort(u), path: strings.TrimSuffix(cleanPath(u.Path), "/")})
	}
	for _, host := range hosts {
		places = append(places, place{host: lower(host)})
	}
	return places
}

func checkHost(host string) error {
	u, err := url.Parse("https://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" {
		return fmt.Errorf("%q is not a host", oauth.SafeText(host))
	}
	return nil
}

var errPlace = errors.New("the token is not for this address")

// checkPlace reports why a token must not be sent to u, or nil.
func checkPlace(u *url.URL, places []place) error {
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return fmt.Errorf("%w: a token goes over https, or http on loopback, not over %s to %s", errPlace, u.Scheme, u.Host)
	}
	for _, place := range places {
		if place.holds(u) {
			return nil
		}
	}
	if len(places) == 0 {
		return fmt.Errorf("%w: set Resource or AllowHosts to say where it may go", errPlace)
	}
	return fmt.Errorf("%w: %s is not under the resource and its host not in AllowHosts", errPlace, u.Redacted())
}

func (p place) holds(u *url.URL) bool {
	if p.scheme != "" && p.scheme != u.Scheme {
		return false
	}
	host := hostPort(u)
	if p.host != host && net.JoinHostPort(strings.Trim(p.host, "[]"), defaultPort(u)) != host {
		return false
	}
	// Dot segments are resolved first: /v1/../admin is not under /v1.
	clean := cleanPath(u.Path)
	return p.path == "" || !climbs(clean) && (clean == p.path || strings.HasPrefix(clean, p.path+"/"))
}

// climbs reports whether some server would still find a ".." in a path that has none left for us: behind a backslash,
// before a parameter (/v1/..;/admin), or escaped twice.
func climbs(clean string) bool {
	for segment := range strings.FieldsFuncSeq(clean, func(r rune) bool { return r == '/' || r == '\\' }) {
		name, _, _ := strings.Cut(lower(segment), ";")
		if strings.ReplaceAll(name, "%2e", ".") == ".." {
			return true
		}
	}
	return false
}

// lower folds the letters that host names are compared without the case of, which are those of ASCII. strings.ToLower
// makes an i of U+0130, which net/http looks up as another name: a token for api.example would go to xn--api-bec.example.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// hostPort returns host and port in the one spelling that can be compared.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = defaultPort(u)
	}
	return net.JoinHostPort(lower(u.Hostname()), port)
}

func defaultPort(u *url.URL) string {
	if u.Scheme == "http" {
		return "80"
	}
	return "443"
}

func cleanPath(p string) string { return path.Clean("/" + p) }
