package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A format is a kind of token.
type format struct {
	name, title, algorithm string // algorithm "" is opaque
}

var formats = []format{
	{"es256", "ES256", "ES256"}, {"ed25519", "Ed25519", "Ed25519"}, {"rs256", "RS256", "RS256"}, {"opaque", "opaque", ""},
}

// audience is the resource whose tokens have the format.
func (f format) audience() string { return "https://" + f.name + ".bench.example" }

// asDelivered are the flags of the linker that make build has.
const asDelivered = "-s -w"

// buildWrit builds the program as make build does, but for the flags of the linker.
func buildWrit(ctx context.Context, source, binary, flags string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", flags, "-o", binary, "./cmd/writ")
	cmd.Dir, cmd.Env = source, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build writ: %w\n%s", err, out)
	}
	return binary, nil
}

// A credential is a client and its secret.
type credential struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// A node is a running Writ, as it is delivered: the configuration says where things are and nothing else.
type node struct {
	*process

	place               place
	binary, data        string
	public, admin, mtls string // addresses
	issuer              string
	sinceStart          time.Duration // until the first token
	clients             map[string]credential
}

// A place is where a node keeps its things.
type place struct {
	dir, name string
	pki       string // directory; "": no listener for certificates
	database  string // "": the SQLite file of its own
	cpus      []int
	addresses []string // of a node that was there before; nil: free ones

	// Of a node that is not the first in its database:
	issuer, rootKey string
	client          credential // that the first token is for
}

// startWrit starts a node and waits for the first token of its operator.
func startWrit(ctx context.Context, binary string, at place) (*node, error) {
	addresses, err := at.addresses, error(nil)
	if addresses == nil {
		addresses, err = freeAddresses(3)
	}
	if err != nil {
		return nil, err
	}
	n := &node{
		place: at, binary: binary, data: filepath.Join(at.dir, at.name), public: addresses[0], admin: addresses[1], mtls: addresses[2],
		issuer: "http://" + addresses[0], clients: map[string]credential{},
	}
	args := []string{"serve"}
	for name, value := range n.settings(at) {
		if value != "" {
			args = append(args, "--set", name+"="+value)
		}
	}
	if n.process, err = startProcess(at.dir, at.name, at.cpus, binary, args...); err != nil {
		return nil, err
	}
	n.sinceStart, err = n.await(ctx, func() error {
		return n.firstToken(ctx)
	})
	if err != nil {
		n.stop()
		return nil, err
	}
	return n, nil
}

// restart starts a stopped node again, where it was.
func (n *node) restart(ctx context.Context) (*node, error) {
	at := n.place
	at.addresses = []string{n.public, n.admin, n.mtls}
	again, err := startWrit(ctx, n.binary, at)
	if err == nil {
		again.clients = n.clients
	}
	return again, err
}

func (n *node) settings(at place) map[string]string {
	settings := map[string]string{
		"listen": n.public, "admin.listen": n.admin, "data": n.data, "database": at.database, "issuer": at.issuer, "root_key": at.rootKey,
	}
	if at.pki != "" {
		settings["mtls.listen"] = n.mtls
		settings["mtls.tls.certificate"] = filepath.Join(at.pki, "server.crt")
		settings["mtls.tls.key"] = filepath.Join(at.pki, "server.key")
		settings["mtls.client_ca"] = filepath.Join(at.pki, "ca.crt")
	}
	return settings
}

// operatorToken gets a token with the credential that the first start left.
func (n *node) operatorToken(ctx context.Context) (string, error) {
	text, err := os.ReadFile(filepath.Join(n.data, "operator.json"))
	if err != nil {
		return "", err
	}
	var operator credential
	if err := json.Unmarshal(text, &operator); err != nil {
		return "", err
	}
	return fetchToken(ctx, n.issuer+"/token", operator, url.Values{})
}

var errNoToken = errors.New("no token")

// fetchToken gets one token as any client does.
func fetchToken(ctx context.Context, endpoint string, as credential, form url.Values) (string, error) {
	form.Set("grant_type", "client_credentials")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(as.ID, as.Secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Token == "" {
		return "", fmt.Errorf("%w from %s: %s", errNoToken, endpoint, response.Status)
	}
	return answer.Token, nil
}

// command runs one of Writ's commands as the node's operator and returns what it prints.
func (n *node) command(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, n.binary, append(args, "--json", "--operator", filepath.Join(n.data, "operator.json"))...)
	out, err := cmd.Output()
	if err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			return nil, fmt.Errorf("writ %s: %w: %s", strings.Join(args, " "), err, failed.Stderr)
		}
		return nil, err
	}
	return out, nil
}

// createResource registers the resource of a format.
func (n *node) createResource(ctx context.Context, f format) error {
	args := []string{"resource", "create", f.audience(), "--scope", "read", "--ttl", "1h"}
	if f.algorithm == "" {
		args = append(args, "--format", "opaque")
	} else {
		args = append(args, "--algorithm", f.algorithm)
	}
	_, err := n.command(ctx, args...)
	return err
}

// createClient registers a client and keeps its credential under its name.
func (n *node) createClient(ctx context.Context, name string, args ...string) error {
	out, err := n.command(ctx, append([]string{"client", "create", name}, args...)...)
	if err != nil {
		return err
	}
	var made credential
	if err := json.Unmarshal(out, &made); err != nil {
		return err
	}
	n.clients[name] = made
	return nil
}

// register makes the resources and clients of the rows.
func (n *node) register(ctx context.Context, pki string) error {
	for _, f := range formats {
		if err := n.createResource(ctx, f); err != nil {
			return err
		}
	}
	granted := func(f format, more ...string) []string {
		return append([]string{"--resource", f.audience(), "--scope", "read"}, more...)
	}
	es256 := formats[0]
	clients := map[string][]string{
		"post":        granted(es256, "--auth-method", "client_secret_post"),
		"assertion":   granted(es256, "--public-key", filepath.Join(pki, "client.pub")),
		"certificate": granted(es256, "--auth-method", "tls_client_auth", "--san-dns", clientName),
		"self-signed": granted(es256, "--certificate", filepath.Join(pki, "self-signed.crt")),
		"dpop":        granted(es256, "--dpop"),
		"again":       granted(es256, "--reuse-tokens", "10m"),
		"api":         {"--resource-server", es256.audience(), "--resource-server", formats[3].audience()},
	}
	for _, f := range formats {
		clients[f.name] = granted(f)
	}
	for name, args := range clients {
		if err := n.createClient(ctx, name, args...); err != nil {
			return err
		}
	}
	return nil
}

// size returns how many bytes the database has, in its file and the log beside it, and the journal.
func (n *node) size() (database, journal int64) {
	for _, name := range []string{"writ.db", "writ.db-wal"} {
		if info, err := os.Stat(filepath.Join(n.data, name)); err == nil {
			database += info.Size()
		}
	}
	files, _ := filepath.Glob(filepath.Join(n.data, "audit", "*"))
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			journal += info.Size()
		}
	}
	return database, journal
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	if u.Port() == "" {
		return net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	return u.Host
}
