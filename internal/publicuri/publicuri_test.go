package publicuri_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/publicuri"
)

func TestParse(t *testing.T) {
	for _, good := range []string{
		"https://keys.example.com/jwks", "https://keys.example.com", "https://keys.example.com:443/a?b=c", "https://keys.example.com:1024/",
		"https://KEYS.example.com:65535/", "https://8.8.8.8/jwks", "https://[2606:4700::1111]:8443/jwks", "https://xn--bcher-kva.example/",
		"https://1.2.3.4.example.com/",
	} {
		if _, err := publicuri.Parse(good); err != nil {
			t.Errorf("%s: %v, want no error", good, err)
		}
	}
	for row, bad := range map[string][]string{
		"RG-13 scheme, user info, port": {
			"http://keys.example.com/", "gopher://keys.example.com/", "file:///etc/passwd", "ftp://keys.example.com/", "//keys.example.com/",
			"https:keys.example.com", "https:///jwks", "keys.example.com", "", "https://user:pw@keys.example.com/", "https://@keys.example.com/",
			"https://keys.example.com:22/", "https://keys.example.com:0/", "https://keys.example.com:1023/", "https://keys.example.com:65536/",
			"https://keys.example.com:0443/", "https://keys.example.com:/", "https://keys.example.com/#f", "https://keys.example.com/#",
			"https://keys.example.com/" + strings.Repeat("a", 2048), "https://keys.example.com/\n",
		},
		"RG-14 hosts inside": {
			"https://127.0.0.1/", "https://localhost/", "https://LOCALHOST/", "https://a.localhost/", "https://[::1]/", "https://0.0.0.0/",
			"https://169.254.169.254/", "https://10.0.0.1/", "https://metadata.google.internal/", "https://printer.local/", "https://intranet/",
			"https://router.home.arpa/",
		},
		"RG-15 addresses that lead inside": addresses("[", "]"),
		"RG-16 other spellings": {
			"https://2130706433/", "https://0x7f.1/", "https://0177.0.0.1/", "https://127.1/", "https://0x7f000001/", "https://a.0x7f/",
			"https://keys.example.com./", "https://127.0.0.1./", "https://kеys.example.com/", "https://１２７.0.0.1/", "https://keys_.example.com/",
			"https://keys..example.com/", "https://-a.example.com/", "https://keys.example.com%2e/", "https://[::ffff:8.8.8.8]/",
			"https://keys.example.com%00.evil.example/", `https://keys.example.com\@127.0.0.1/`,
		},
	} {
		t.Run(row, func(t *testing.T) {
			for _, raw := range bad {
				if _, err := publicuri.Parse(raw); err == nil {
					t.Errorf("%q is accepted", raw)
				} else if len(raw) > 20 && strings.Contains(err.Error(), raw) {
					t.Errorf("%q is repeated in the error %q", raw, err)
				}
			}
		})
	}
}

// inside are the addresses of RG-14 and RG-15, and the edges of the blocks that they are from.
var inside = strings.Fields(`127.0.0.1 127.255.255.255 0.0.0.0 0.1.2.3 169.254.169.254 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255
	192.168.0.1 100.64.0.1 100.127.255.255 198.18.0.1 198.19.255.255 192.0.0.192 192.0.2.1 192.88.99.1 198.51.100.1 203.0.113.1 224.0.0.1
	239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:0:127.0.0.1 64:ff9b::7f00:1
	64:ff9b::808:808 64:ff9b:1::7f00:1 100::1 2001::1 2001:1ff:ffff::1 2001:2::1 2001:20::1 2001:db8::1 2002:7f00:1:: 3fff::1 5f00::1
	fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 4000::1`)

func addresses(before, after string) (all []string) {
	for _, address := range inside {
		if strings.Contains(address, ":") {
			address = before + address + after
		}
		all = append(all, "https://"+address+"/")
	}
	return append(all, "https://[fe80::1%25lo]/", "https://[2606:4700::1111%25eth0]/")
}

func TestAddress(t *testing.T) {
	for _, text := range inside {
		if publicuri.Address(netip.MustParseAddr(text)) {
			t.Errorf("RG-15 %s is public", text)
		}
	}
	for _, text := range []string{"fe80::1%lo", "2606:4700::1111%lo"} {
		if publicuri.Address(netip.MustParseAddr(text)) {
			t.Errorf("RG-15 %s is public", text)
		}
	}
	if publicuri.Address(netip.Addr{}) {
		t.Error("no address is public")
	}
	for text := range strings.FieldsSeq(`8.8.8.8 1.0.0.1 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1
		198.17.255.255 198.20.0.1 223.255.255.255 ::ffff:8.8.8.8 2606:4700::1111 2001:200::1 2001:4860:4860::8888 2a00:1450::1`) {
		if !publicuri.Address(netip.MustParseAddr(text)) {
			t.Errorf("%s is not public", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, raw := range append(addresses("[", "]"), "https://keys.example.com:8443/a?b#c", "https://127.1/") {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := publicuri.Parse(raw)
		if err != nil {
			return
		}
		if u.Scheme != "https" || u.User != nil || u.Fragment != "" {
			t.Errorf("%q is accepted", raw)
		}
		if address, err := netip.ParseAddr(u.Hostname()); err == nil && !publicuri.Address(address) {
			t.Errorf("%q is accepted, its address is not public", raw)
		}
	})
}
