package registry

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/writ-auth/writ/oauth"
)

// maxPrefixes bounds the networks of a client or a credential: each is compared with the address of a caller.
const maxPrefixes = 64

// parseNetwork reads a network as people write it: a prefix (CIDR), or an address, which is a network of one. IPv4 in the form
// of IPv6 is IPv4, as the addresses of callers are. A prefix with an address inside of the network is an error, which says what
// may be meant: it could be the one address, or the whole network.
func parseNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		if address.Zone() != "" {
			return netip.Prefix{}, errors.New("has a zone, which says something on one machine only")
		}
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errors.New("is neither a network, such as 192.0.2.0/24 or 2001:db8::/32, nor an address")
	}
	if address := network.Addr(); address.Is4In6() {
		if network.Bits() < 96 {
			return netip.Prefix{}, errors.New("is larger than all IPv4 addresses in the form of IPv6: write it as IPv4, such as 192.0.2.0/24")
		}
		network = netip.PrefixFrom(address.Unmap(), network.Bits()-96)
	}
	if whole := network.Masked(); whole != network {
		return netip.Prefix{}, fmt.Errorf("has an address inside of the network: write %s for all of it, or %s for the address", whole, network.Addr())
	}
	return network, nil
}

// plainNetworks returns networks in the one way in which they are kept. What cannot be read stays as it is: networks says so.
func plainNetworks(texts []string) []string {
	var plain []string
	for _, text := range texts {
		if network, err := parseNetwork(text); err == nil {
			text = network.String()
		}
		plain = append(plain, text)
	}
	return plain
}

// networks checks networks in the way in which they are kept.
func (p *problems) networks(field string, texts []string) {
	if !p.unique(field, texts, maxPrefixes) {
		return
	}
	for i, text := range texts {
		if _, err := parseNetwork(text); err != nil {
			p.add(at(field, i), "%s %v", oauth.SafeText(text), err)
		}
	}
}

// inNetworks reports whether the address of a caller, with or without a port, is in one of the networks; without networks each is.
func inNetworks(texts []string, remote string) bool {
	if len(texts) == 0 {
		return true
	}
	address, err := netip.ParseAddr(remote)
	if err != nil {
		withPort, _ := netip.ParseAddrPort(remote)
		address = withPort.Addr() // the zero Addr, which is in no network, of what cannot be read
	}
	address = address.Unmap().WithZone("")
	return slices.ContainsFunc(texts, func(text string) bool {
		network, err := parseNetwork(text)
		return err == nil && network.Contains(address)
	})
}
