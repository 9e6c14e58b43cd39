// Package publicuri says which URLs and addresses of strangers Writ may connect to: https on the public internet, and
// nothing that only Writ can reach (server-side request forgery; RFC 8725bis, 3.10). It decides and connects to nothing;
// registry asks it what may be registered, remotekeys what may be fetched. Its functions are pure.
package publicuri

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxLength bounds a URL, in bytes.
const maxLength = 2048

// Parse returns the URL if a stranger may have it fetched: https, a host name of the public DNS or a public address,
// port 443 or at least 1024, no user info, no fragment. A name may still lead to an address that is not public: see
// Address. The errors may be shown to whoever sent the URL; they do not repeat it.
func Parse(raw string) (*url.URL, error) {
	if len(raw) > maxLength {
		return nil, errors.New("is longer than 2048 bytes")
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Opaque != "" || u.Hostname() == "" {
		return nil, errors.New("is not an https URL")
	}
	if u.User != nil {
		return nil, errors.New("may have no user info")
	}
	if strings.Contains(raw, "#") {
		return nil, errors.New("may have no fragment")
	}
	if err := checkPort(u); err != nil {
		return nil, err
	}
	return u, checkHost(u.Hostname())
}

// checkPort keeps Writ from speaking TLS to what stands on well-known ports: mail, SSH, databases' neighbours.
func checkPort(u *url.URL) error {
	port := u.Port()
	if port == "" && strings.HasSuffix(u.Host, ":") {
		return errors.New("has an empty port")
	}
	if port == "" || port == "443" {
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n < 1024 || strconv.FormatUint(n, 10) != port {
		return errors.New("may have port 443 or one from 1024 to 65535")
	}
	return nil
}

var errNotPublic = errors.New("has a host that is not on the public internet")

func checkHost(host string) error {
	if address, err := netip.ParseAddr(host); err == nil {
		if !Address(address) || address.Is4In6() {
			return errNotPublic
		}
		return nil
	}
	return checkName(strings.ToLower(host))
}

// private are the names under which no public host is (RFC 6761, 6762, 7686, 8375, 9476; .internal is ICANN's): what
// answers to them is inside, as metadata.google.internal is.
var private = []string{"localhost", "local", "internal", "home.arpa", "onion", "alt", "invalid", "test"}

// checkName takes names of the public DNS: at least two labels of letters, digits and hyphens. No other spelling of an
// address gets through (127.1, 0x7f.1, 2130706433), for resolvers disagree about them: the last label has a letter that
// makes it no number.
func checkName(name string) error {
	for _, suffix := range private {
		if strings.HasSuffix("."+name, "."+suffix) {
			return errNotPublic
		}
	}
	labels := strings.Split(name, ".")
	if len(name) > 253 || len(labels) < 2 || slices.ContainsFunc(labels, func(label string) bool { return !isLabel(label) }) {
		return errors.New("has a host that is neither a DNS name with a dot in it nor an address")
	}
	last := labels[len(labels)-1]
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return errors.New("has a host that is neither a DNS name with a dot in it nor an address")
	}
	return nil
}

func isLabel(label string) bool {
	return label != "" && len(label) <= 63 && !strings.HasPrefix(label, "-") && !strings.HasSuffix(label, "-") &&
		strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// special are the blocks of IANA's special-purpose registries that are not globally reachable, or that carry an IPv4
// address to somewhere else (6to4, Teredo). netip calls several of them global unicast.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

// global is all that IANA gave out for global unicast. What is outside is loopback, mapped, compatible, NAT64, unique
// local, link-local, multicast, or unassigned.
var global = netip.MustParsePrefix("2000::/3")

// Address reports whether an address is on the public internet. An IPv4 address that is mapped into IPv6, as resolvers
// return it, counts as what it is.
func Address(address netip.Addr) bool {
	if address.Zone() != "" {
		return false
	}
	address = address.Unmap()
	if !address.IsValid() || address.Is6() && !global.Contains(address) {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(address) })
}

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}
