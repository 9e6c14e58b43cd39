package interop_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/internal/server"
	"github.com/writ-auth/writ/oauth"
)

// A proxied fixture is a server whose mTLS listener stands behind a proxy that ends TLS, both set up as
// docs/mtls-proxies.md says.
type proxied struct {
	*keyed
	listener string // address of the listener behind the proxy
}

// TestProxies runs the configurations of docs/mtls-proxies.md.
func TestProxies(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T, d directory) *exec.Cmd{"nginx": startNginx, "HAProxy": startHAProxy} {
		t.Run("interop: "+name, func(t *testing.T) {
			t.Parallel()
			p := startProxied(t, start)
			t.Run("M15 the metadata leads to the proxy", p.checkAlias)
			t.Run("M14 tls_client_auth, token bound to the certificate", func(t *testing.T) { p.checkBound(t, p.Certificate) })
			t.Run("M14 self_signed_tls_client_auth, token bound to the certificate", func(t *testing.T) { p.checkBound(t, p.SelfSigned) })
			t.Run("resumed sessions keep their certificate", p.checkResumed)
			t.Run("DPoP at the alias URL", p.checkDPoP)
			t.Run("M01, M12, CA-30 forged headers through the proxy", p.checkForged)
			t.Run("M12, CA-30 forged headers past the proxy", p.checkDirect)
		})
	}
}

// TestPassing runs the configuration of docs/mtls-proxies.md that leaves TLS to the server.
func TestPassing(t *testing.T) {
	t.Parallel()
	d := newDirectory(t)
	p := proxied{listener: d.listener}
	p.keyed = startKeyed(t, func(c *server.Config) { c.MTLS.Listen, c.MTLS.URL = d.listener, d.url() })
	p.run(t, startPassing(t, d), d.proxy)
	t.Run("interop: HAProxy that passes TCP on", func(t *testing.T) {
		t.Run("M15 the metadata leads to the proxy", p.checkAlias)
		t.Run("M14 tls_client_auth, token bound to the certificate", func(t *testing.T) { p.checkBound(t, p.Certificate) })
		t.Run("DPoP at the alias URL", p.checkDPoP)
		t.Run("M01, M12, CA-30 forged headers", p.checkForged)
	})
}

// A directory is where a proxy finds its files, and where it listens.
type directory struct {
	path     string
	proxy    string // address to listen on
	listener string // address to connect to
}

func newDirectory(t *testing.T) directory {
	t.Helper()
	return directory{path: t.TempDir(), proxy: freeAddress(t), listener: freeAddress(t)}
}

// url is what clients call the proxy.
func (d directory) url() string {
	_, port, _ := net.SplitHostPort(d.proxy)
	return "https://localhost:" + port
}

func (d directory) file(name string) string { return filepath.Join(d.path, name) }

func startProxied(t *testing.T, start func(t *testing.T, d directory) *exec.Cmd) proxied {
	t.Helper()
	d := newDirectory(t)
	p := proxied{listener: d.listener}
	p.keyed = startKeyed(t, func(c *server.Config) {
		file := d.file("writ.yaml")
		write(t, file, documented(t, "yaml", "client_cert_from", "127.0.0.1:8443", d.listener, "https://mtls.as.example.com", d.url(), "/etc/writ/clients.pem", c.MTLS.ClientCA))
		loaded, err := server.Load(file, nil, map[string]string{"listen": "127.0.0.1:0", "admin.listen": "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		if want := netip.MustParsePrefix("127.0.0.1/32"); len(loaded.MTLS.ClientCertFrom) != 1 || loaded.MTLS.ClientCertFrom[0] != want {
			t.Fatalf("client_cert_from is %v, want %s: the attacker comes from elsewhere", loaded.MTLS.ClientCertFrom, want)
		}
		c.MTLS = loaded.MTLS
	})
	pair := p.authority.issue("mtls.as.example.com", x509.ExtKeyUsageServerAuth)
	certificate, key := pemBlock("CERTIFICATE", pair.Certificate[0]), pemKey(pair.PrivateKey)
	write(t, d.file("mtls.crt"), certificate)
	write(t, d.file("mtls.key"), key)
	write(t, d.file("mtls.pem"), append(certificate, key...))
	write(t, d.file("clients.pem"), read(t, p.authority.file))
	p.run(t, start(t, d), d.proxy)
	return p
}

// run starts the proxy, waits until it listens, and ends it after the test.
func (p proxied) run(t *testing.T, command *exec.Cmd, address string) {
	t.Helper()
	var output strings.Builder
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		<-ended
		if t.Failed() {
			t.Logf("%s: %s", command.Path, output.String())
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // another process is starting
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v\n%s", command.Path, err, output.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen", command.Path)
		}
	}
}

// program returns the path of a program; Debian keeps servers where only root looks.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		cannot(t, "%s is not installed: install it to run this test", name)
	}
	return path
}

// documented returns the block of docs/mtls-proxies.md in a language that has a text in it, after what stands for the
// reader's own values was replaced, in pairs. A value that does not stand there is a mistake of this test.
func documented(t *testing.T, language, with string, replace ...string) []byte {
	t.Helper()
	var text string
	for _, block := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(read(t, "../docs/mtls-proxies.md"), -1) {
		if strings.Contains(string(block[1]), with) {
			text += string(block[1])
		}
	}
	if text == "" {
		t.Fatalf("docs/mtls-proxies.md has no block of %s with %q", language, with)
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("%q does not stand in the %s of docs/mtls-proxies.md", replace[i], language)
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	return []byte(text)
}

func startNginx(t *testing.T, d directory) *exec.Cmd {
	t.Helper()
	nginx := program(t, "nginx")
	module := "/usr/lib/nginx/modules/ngx_http_js_module.so"
	if _, err := os.Stat(module); err != nil {
		cannot(t, "nginx's JavaScript module is not installed (libnginx-mod-http-js): install it to run this test")
	}
	write(t, d.file("writ.js"), documented(t, "js", "clientCert"))
	write(t, d.file("writ.conf"), documented(t, "nginx", "server_name", "listen 443 ssl", "listen "+d.proxy+" ssl", "http://127.0.0.1:8443", "http://"+d.listener,
		"/etc/nginx/", d.path+"/"))
	main := "load_module " + module + `;
		daemon off;
		worker_processes 1;
		pid ` + d.file("pid") + `;
		error_log stderr;
		events {}
		http {
			access_log off;
			client_body_temp_path ` + d.file("1") + `; proxy_temp_path ` + d.file("2") + `; fastcgi_temp_path ` + d.file("3") + `;
			uwsgi_temp_path ` + d.file("4") + `; scgi_temp_path ` + d.file("5") + `;
			include ` + d.file("writ.conf") + `;
		}`
	write(t, d.file("nginx.conf"), []byte(main))
	return exec.Command(nginx, "-p", d.path, "-e", "stderr", "-c", d.file("nginx.conf"))
}

func startHAProxy(t *testing.T, d directory) *exec.Cmd {
	t.Helper()
	text := documented(t, "haproxy", "mode http", "bind :443", "bind "+d.proxy, "127.0.0.1:8443", d.listener, "/etc/haproxy/", d.path+"/")
	return haproxy(t, d, text)
}

func startPassing(t *testing.T, d directory) *exec.Cmd {
	t.Helper()
	return haproxy(t, d, documented(t, "haproxy", "mode tcp", "bind :443", "bind "+d.proxy, "127.0.0.1:8443", d.listener))
}

func haproxy(t *testing.T, d directory, configuration []byte) *exec.Cmd {
	t.Helper()
	write(t, d.file("haproxy.cfg"), configuration)
	return exec.Command(program(t, "haproxy"), "-db", "-f", d.file("haproxy.cfg"))
}

// source obtains tokens with our client library, which finds the proxy by the metadata.
func (p proxied) source(t *testing.T, party keyParty, change func(*client.Config)) *client.Source {
	t.Helper()
	pair := p.pairs[party.ID]
	config := client.Config{
		Issuer: p.Issuer, ClientID: party.ID, Resource: p.Resource, Scope: strings.Join(scopes, " "), HTTPClient: p.http(t),
		Credential: client.CertificateFunc(func(context.Context) (*tls.Certificate, error) { return &pair, nil }),
	}
	if change != nil {
		change(&config)
	}
	source, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// call calls the API and wants a status.
func (p proxied) call(t *testing.T, caller *http.Client, token string, want int) {
	t.Helper()
	request := must(http.NewRequestWithContext(t.Context(), http.MethodGet, p.Resource, nil))
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := caller.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != want {
		t.Errorf("the API answers %d, want %d", response.StatusCode, want)
	}
}

func (p proxied) checkAlias(t *testing.T) {
	response, err := p.http(t).Get(p.Issuer + "/.well-known/oauth-authorization-server")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var metadata oauth.Metadata
	if err := json.NewDecoder(response.Body).Decode(&metadata); err != nil {
		t.Fatal(err)
	}
	want := p.server.MTLSURL() + "/token"
	if aliases := metadata.MTLSEndpointAliases; aliases == nil || aliases.TokenEndpoint != want || !strings.HasPrefix(want, "https://localhost:") {
		t.Errorf("aliases are %+v, want the token endpoint %s", aliases, want)
	}
}

func (p proxied) checkBound(t *testing.T, party keyParty) {
	token, err := p.source(t, party, nil).Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Cnf map[string]string `json:"cnf"`
	}
	payload := must(base64.RawURLEncoding.DecodeString(strings.Split(token.AccessToken(), ".")[1]))
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(p.pairs[party.ID].Certificate[0])
	if got, want := claims.Cnf["x5t#S256"], base64.RawURLEncoding.EncodeToString(sum[:]); got != want {
		t.Errorf("the token is bound to %q, want %q", got, want)
	}
	p.call(t, p.http(t, p.pairs[party.ID]), token.AccessToken(), http.StatusOK)
	p.call(t, p.http(t), token.AccessToken(), http.StatusUnauthorized)
	p.call(t, p.http(t, p.pairs[p.CertAndDPoP.ID]), token.AccessToken(), http.StatusUnauthorized)
}

// checkResumed: a proxy that resumes a TLS session passes on what the session began with, or nothing; never another's.
func (p proxied) checkResumed(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		sessions := tls.NewLRUClientSessionCache(4)
		for range 3 {
			caller := p.http(t, p.pairs[p.Certificate.ID])
			transport := caller.Transport.(*http.Transport)
			transport.TLSClientConfig.ClientSessionCache, transport.TLSClientConfig.MaxVersion = sessions, version
			transport.DisableKeepAlives = true
			p.ask(t, caller, p.server.MTLSURL(), p.Certificate, nil, http.StatusOK)
			transport.TLSClientConfig.Certificates = nil // whoever resumes still is who began
			p.ask(t, caller, p.server.MTLSURL(), p.SelfSigned, nil, http.StatusUnauthorized)
		}
	}
}

func (p proxied) checkDPoP(t *testing.T) {
	source := p.source(t, p.CertAndDPoP, func(c *client.Config) { c.DPoP = true })
	token, err := source.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.call(t, source.Client(), "", http.StatusOK)
	p.call(t, p.http(t), token.AccessToken(), http.StatusUnauthorized)
}

// A forgery is what would make its sender the victim.
type forgery struct {
	name   string
	victim keyParty
	header http.Header
}

// forgeries are headers with the certificates of victims, one each: a client's failures are throttled.
func (p proxied) forgeries(t *testing.T) (all []forgery) {
	t.Helper()
	for name := range headersWith(p.pairs[p.Certificate.ID]) {
		victim := p.withCertificate(t, strings.ToLower(rand.Text())+".test", nil)
		all = append(all, forgery{name, victim, headersWith(p.pairs[victim.ID])[name]})
	}
	return all
}

func headersWith(pair tls.Certificate) map[string]http.Header {
	sequence := ":" + base64.StdEncoding.EncodeToString(pair.Certificate[0]) + ":"
	escaped := url.QueryEscape(string(pemBlock("CERTIFICATE", pair.Certificate[0])))
	return map[string]http.Header{
		"Client-Cert":             {"Client-Cert": {sequence}},
		"client-cert":             {"client-cert": {sequence}},
		"Client-Cert twice":       {"Client-Cert": {sequence, sequence}},
		"Client-Cert-Chain":       {"Client-Cert": {sequence}, "Client-Cert-Chain": {sequence}},
		"chain alone":             {"Client-Cert-Chain": {sequence}},
		"a chain that is none":    {"Client-Cert-Chain": {"garbage"}},
		"Client_Cert":             {"Client_Cert": {sequence}},
		"X-Forwarded-Client-Cert": {"X-Forwarded-Client-Cert": {`Cert="` + escaped + `"`}},
		"X-Ssl-Client-Cert":       {"X-Ssl-Client-Cert": {escaped}},
		"with an address":         {"Client-Cert": {sequence}, "X-Forwarded-For": {"127.0.0.1"}, "Forwarded": {"for=127.0.0.1"}},
		"for one hop":             {"Client-Cert": {sequence}, "Connection": {"Client-Cert"}},
	}
}

// ask asks for a token with a client_id and nothing else, and wants a status.
func (p proxied) ask(t *testing.T, caller *http.Client, base string, party keyParty, header http.Header, want int) {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {party.ID}, "resource": {p.Resource}, "scope": {scopes[0]}}
	request := must(http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/token", strings.NewReader(form.Encode())))
	maps.Copy(request.Header, header)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := caller.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Error string }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != want ||
		want == http.StatusUnauthorized && answer.Error != "invalid_client" {
		t.Errorf("got %d %q (%v), want %d", response.StatusCode, answer.Error, err, want)
	}
}

func (p proxied) checkForged(t *testing.T) {
	attacker := p.pairs[p.SelfSigned.ID]
	p.ask(t, p.http(t), p.server.MTLSURL(), p.Certificate, nil, http.StatusUnauthorized)
	for _, f := range p.forgeries(t) {
		t.Run(f.name, func(t *testing.T) {
			p.ask(t, p.http(t), p.server.MTLSURL(), f.victim, f.header, http.StatusUnauthorized)
			p.ask(t, p.http(t, attacker), p.server.MTLSURL(), f.victim, f.header, http.StatusUnauthorized)
			p.ask(t, p.http(t, attacker), p.server.MTLSURL(), p.SelfSigned, f.header, http.StatusOK) // the attacker is who it is
		})
	}
}

// checkDirect connects to the listener itself: from the proxy's address, which shows that the header would be believed, and
// from another.
func (p proxied) checkDirect(t *testing.T) {
	from := func(address string) *http.Client {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
		transport := &http.Transport{DialContext: dialer.DialContext}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: 20 * time.Second}
	}
	believed := headersWith(p.pairs[p.Certificate.ID])["Client-Cert"]
	p.ask(t, from("127.0.0.1"), "http://"+p.listener, p.Certificate, believed, http.StatusOK)
	for _, f := range p.forgeries(t) {
		t.Run(f.name, func(t *testing.T) {
			p.ask(t, from("127.0.0.9"), "http://"+p.listener, f.victim, f.header, http.StatusUnauthorized)
		})
	}
}
