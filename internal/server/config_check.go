package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Validate returns every problem of the configuration as a Problems, or nil. It reads the files that are named and
// opens nothing else.
func (c Config) Validate() error { return c.problems().err() }

func (c Config) problems() Problems {
	var ps Problems
	checkBounds(&c, &ps)
	c.checkListeners(&ps)
	c.checkMTLS(&ps)
	c.checkIssuer(&ps)
	c.checkTracing(&ps)
	c.checkDatabase(&ps)
	c.checkRegistration(&ps)
	if c.Data == "" {
		ps.add("data", "must name a directory, such as ./writ-data")
	}
	if c.Tokens.TTL > c.Tokens.MaxTTL {
		ps.add("tokens.ttl", "is longer than tokens.max_ttl (%s)", c.Tokens.MaxTTL)
	}
	if c.Keys.Announce >= c.Keys.Lifetime {
		ps.add("keys.announce", "must be shorter than keys.lifetime (%s)", c.Keys.Lifetime)
	}
	if c.Keys.Lifetime < c.Tokens.MaxTTL/2 {
		// Each key stays published for as long as its last token lives; APIs refuse a key set of more than 32.
		ps.add("keys.lifetime", "must be at least half of tokens.max_ttl (%s), or more keys would be published than APIs take", c.Tokens.MaxTTL)
	}
	if c.Limits.HeaderTimeout > c.Limits.BodyTimeout {
		ps.add("limits.header_timeout", "is longer than limits.body_timeout, which the header is a part of (%s)", c.Limits.BodyTimeout)
	}
	return ps
}

// checkBounds holds every field to its tags min, max and oneof.
func checkBounds(c *Config, ps *Problems) {
	for _, f := range fieldsOf(c) {
		if words := f.tag.Get("oneof"); words != "" && !slices.Contains(strings.Fields(words), f.value.String()) {
			ps.add(f.path, "must be one of %s", strings.ReplaceAll(words, " ", ", "))
		}
		low, high := f.tag.Get("min"), f.tag.Get("max")
		if low == "" {
			continue
		}
		if n := f.value.Int(); n < f.bound(low) || n > f.bound(high) {
			ps.add(f.path, "must be between %s and %s", low, high)
		}
	}
}

// bound reads a tag with the field's own syntax.
func (f field) bound(text string) int64 {
	var scratch Config
	for _, twin := range fieldsOf(&scratch) {
		if twin.path == f.path && assign(twin.value, text) == nil {
			return twin.value.Int()
		}
	}
	panic("server: bound of " + f.path + " is not a value of it: " + text)
}

func (c Config) checkListeners(ps *Problems) {
	checkAddress(ps, "listen", c.Listen)
	checkAddress(ps, "admin.listen", c.Admin.Listen)
	if c.Listen == c.Admin.Listen && !strings.HasSuffix(c.Listen, ":0") {
		ps.add("admin.listen", "is the same as listen; the admin API must not be on the public listener")
	}
	checkTLS(ps, "tls", c.TLS)
	checkTLS(ps, "admin.tls", c.Admin.TLS)
	if c.TLS.set() && len(c.PlainHTTPBehind) > 0 {
		ps.add("plain_http_behind", "excludes tls: with a certificate the listener speaks TLS to everyone; use trusted_proxies")
	}
	if !c.TLS.set() && len(c.PlainHTTPBehind) == 0 && !loopback(c.Listen) {
		ps.add("listen", "%q is not on loopback and would send secrets in clear: set tls.certificate and tls.key, or name the proxy that ends TLS in plain_http_behind", c.Listen)
	}
	if err := validOrigin(c.Admin.URL); err != nil {
		ps.add("admin.url", "%q %v", c.Admin.URL, err)
	}
	if !c.Admin.TLS.set() && !loopback(c.Admin.Listen) {
		ps.add("admin.listen", "%q is not on loopback: set admin.tls.certificate and admin.tls.key", c.Admin.Listen)
	}
}

func checkAddress(ps *Problems, path, address string) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		ps.add(path, "%q must be HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080", address)
		return
	}
	if n, err := parseInt(port); err != nil || n > 65535 {
		ps.add(path, "%q has no port between 0 and 65535", address)
	}
}

// loopback reports whether only this machine can reach a listening address. A name other than localhost may resolve to
// anything and is not.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && loopbackHost(host)
}

func loopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (t TLSFiles) set() bool { return t.Certificate != "" || t.Key != "" }

func checkTLS(ps *Problems, path string, files TLSFiles) {
	switch {
	case !files.set():
		return
	case files.Certificate == "":
		ps.add(path+".certificate", "is missing: a key needs its certificate")
		return
	case files.Key == "":
		ps.add(path+".key", "is missing: a certificate needs its key")
		return
	}
	if err := private(files.Key); err != nil {
		ps.add(path+".key", "%v", err)
		return
	}
	if _, err := tls.LoadX509KeyPair(files.Certificate, files.Key); err != nil {
		ps.add(path+".certificate", "%v", strings.TrimPrefix(err.Error(), "tls: "))
	}
}

// private refuses a secret's file that every user of the machine can read.
func private(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return fmt.Errorf("others can read %s (mode %04o): chmod 600 %s", path, info.Mode().Perm(), path)
	}
	return nil
}

func (c Config) checkIssuer(ps *Problems) {
	if c.Issuer == "" {
		if !loopback(c.Listen) {
			ps.add("issuer", "is required when listen is not on loopback: the URL that clients use, such as https://as.example.com")
		}
		return
	}
	if err := validIssuer(c.Issuer); err != nil {
		ps.add("issuer", "%q %v", c.Issuer, err)
	}
}

// validIssuer holds an issuer to RFC 8414, 2, and to one spelling: it is compared byte by byte everywhere.
func validIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("must be an absolute URL, such as https://as.example.com")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must begin with https://")
	case u.Scheme == "http" && !loopbackHost(u.Hostname()):
		return errors.New("must begin with https://: http is for loopback only")
	case u.User != nil:
		return errors.New("must not hold a user or password")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#"):
		return errors.New("must not have a query or a fragment (RFC 8414, 2)")
	case strings.HasSuffix(u.Path, "/"):
		return errors.New("must not end with a slash: issuers are compared byte by byte")
	case !plainPath(u.EscapedPath()):
		return errors.New("may have only letters, digits and ._~- between single slashes in its path")
	case u.String() != issuer || u.Host != strings.ToLower(u.Host):
		return errors.New("must be written in its plain form: lower-case host")
	case u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80":
		return errors.New("must be written without the port that is the scheme's own")
	}
	return nil
}

// plainPath reports whether a path has one spelling only, so that no proxy and no router can read it as another.
func plainPath(path string) bool {
	if path == "" {
		return true
	}
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
		for _, r := range segment {
			if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._~-", r)) {
				return false
			}
		}
	}
	return true
}

// dsn returns where the store is, from database, database_file or the default.
func (c Config) dsn() (string, error) {
	if c.Database != "" {
		return c.Database, nil
	}
	if c.DatabaseFile == "" {
		return "sqlite:" + filepath.Join(c.Data, "writ.db"), nil
	}
	if err := private(c.DatabaseFile); err != nil {
		return "", err
	}
	text, _, err := readSmall(c.DatabaseFile)
	if err != nil {
		return "", err
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", fmt.Errorf("%s is empty", c.DatabaseFile)
	}
	return text, nil
}

func (c Config) checkTracing(ps *Problems) {
	if c.Tracing.Endpoint == "" {
		return
	}
	u, err := url.Parse(c.Tracing.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		ps.add("tracing.endpoint", "must be an http or https URL without user, query and fragment, such as http://127.0.0.1:4318")
	}
}

func (c Config) checkDatabase(ps *Problems) {
	path := "database"
	if c.DatabaseFile != "" {
		path = "database_file"
		if c.Database != "" {
			ps.add(path, "excludes database: keep one of the two")
			return
		}
	}
	dsn, err := c.dsn()
	if err == nil {
		err = checkDSN(dsn)
	}
	if err != nil {
		ps.add(path, "%s", redactDSN(err.Error()))
	}
}

// checkDSN never puts the DSN into its error: there is a password in it.
func checkDSN(dsn string) error {
	scheme, rest, _ := strings.Cut(dsn, ":")
	switch {
	case scheme == "sqlite" && rest != "":
		return nil
	case scheme == "postgres" || scheme == "postgresql":
		return checkPostgreSQL(dsn)
	}
	return errors.New("must begin with sqlite: and a file, or with postgres://")
}

// checkPostgreSQL refuses a connection that somebody between here and the database could read or answer: the driver's
// own default, prefer, falls back to plain text when it is told to.
func checkPostgreSQL(dsn string) error {
	u, err := url.Parse(dsn)
	if err != nil {
		return errors.New("is not a URL of the form postgres://USER:PASSWORD@HOST/DATABASE; percent-encode the password's signs")
	}
	hosts := strings.Split(u.Host, ",")
	if host := u.Query().Get("host"); host != "" {
		hosts = strings.Split(host, ",")
	}
	mode := u.Query().Get("sslmode")
	for _, host := range hosts {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if host == "" || strings.HasPrefix(host, "/") || loopbackHost(strings.Trim(host, "[]")) {
			continue // a socket or loopback
		}
		if mode != "verify-full" && mode != "verify-ca" {
			return fmt.Errorf("host %s is not this machine: add sslmode=verify-full (and sslrootcert=FILE for a private authority), so that nobody in between can pose as the database", host)
		}
	}
	return nil
}

func (c Config) rootKeyPath() string {
	if c.RootKey != "" {
		return c.RootKey
	}
	return filepath.Join(c.Data, "root.key")
}

func (d Duration) std() time.Duration { return time.Duration(d) }
