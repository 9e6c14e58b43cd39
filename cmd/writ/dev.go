package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/internal/server"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

func newDev() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run issuer, demo API and demo client on this machine, to try things",
		Long: `Run everything that the flow needs on loopback, until it is interrupted: the issuer on port
N, its admin API on N+1, and a demo API on N+2 with two routes, GET /orders (scope
orders:read) and POST /orders (scope orders:write). A demo client is registered that has
orders:read only.

Nothing is written outside DIR, and the next start goes on with what is there. DIR/env
holds the demo client's variables, to be sourced by a shell.`,
		Example: "  writ dev\n  writ dev --port 9000 --dir /tmp/writ",
		Args:    noArgs,
	}
	dir := cmd.Flags().String("dir", devDirectory, "`DIR` for everything that is kept")
	port := cmd.Flags().Int("port", 8080, "port `N` of the issuer; 0: any free ones")
	verbose := cmd.Flags().BoolP("verbose", "v", false, "show the server's log")
	asJSON := jsonFlag(cmd)
	_ = cmd.MarkFlagDirname("dir") // fails only for a flag that is not there
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *port < 0 || *port > 65533 {
			return usageError{fmt.Errorf("--port %d: take one from 1 to 65533, or 0", *port)}
		}
		log := slog.New(slog.DiscardHandler)
		if *verbose {
			log = server.NewLogger(cmd.ErrOrStderr(), server.Default().Log)
		}
		d, err := startDev(cmd.Context(), devOptions{dir: *dir, port: *port, log: log})
		if err != nil && cmd.Context().Err() != nil {
			return nil // interrupted before it was ready; startDev has stopped what it started
		}
		if err != nil {
			return err
		}
		if err := d.greet(cmd.OutOrStdout(), *asJSON); err != nil {
			return errors.Join(err, d.close())
		}
		return d.wait()
	}
	return cmd
}

// A dev is a server of one's own on loopback, with an API and a client to try it with.
type dev struct {
	dir      string
	issuer   string
	operator *operator
	clientID string // of the demo client
	apiURL   string
	api      *http.Server
	env      string // file with the demo client's variables
	stop     context.CancelFunc
	stopped  chan error
}

// devOptions say where and how a dev runs.
type devOptions struct {
	dir     string
	port    int    // 0 takes free ones
	profile string // of the server; under one there is no demo client, because that has a secret
	log     *slog.Logger
}

// startDev starts everything in a directory, with what an earlier start left there.
func startDev(ctx context.Context, options devOptions) (*dev, error) {
	dir, port := options.dir, options.port
	config := server.Default()
	config.Data = dir
	config.Listen, config.Admin.Listen = loopback(port, 0), loopback(port, 1)
	if options.profile != "" {
		config.Profile = options.profile
	}
	running, err := server.New(ctx, config, server.Options{Logger: options.log})
	if err != nil {
		return nil, explainStart(err, dir, port)
	}
	apiListener, err := net.Listen("tcp", loopback(port, 2))
	if err != nil {
		running.Close()
		return nil, explainStart(err, dir, port)
	}
	ctx, stop := context.WithCancel(ctx)
	d := &dev{
		dir: dir, issuer: running.IssuerURL(), apiURL: "http://" + apiListener.Addr().String(),
		env: filepath.Join(dir, "env"), stop: stop, stopped: make(chan error, 1),
	}
	go func() { d.stopped <- running.Run(ctx) }()
	err = d.prepare(ctx, apiListener, running.AdminURL(), options.profile == profileFAPI2)
	if err == nil && options.profile == "" {
		err = d.registerClient(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// loopback returns the address of the nth of the ports that are taken.
func loopback(port, n int) string {
	if port > 0 {
		port += n
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func explainStart(err error, dir string, port int) error {
	switch {
	case strings.Contains(err.Error(), "address already in use"):
		return advise(err, fmt.Sprintf("another program, or another `writ dev`, has one of the ports %d to %d: take others with --port", port, port+2))
	case strings.Contains(err.Error(), "in use"):
		return advise(err, "is `writ dev` running in this directory already? a second one takes --dir and --port of its own")
	case strings.Contains(err.Error(), "root key"):
		return advise(err, beginAnew(dir))
	}
	return err
}

func beginAnew(dir string) string {
	return "to begin anew, with everything in it lost: rm -r " + named(dir)
}

// named returns a directory by a name that can be removed, and that no full stop behind it makes another's: "." is neither.
func named(dir string) string {
	absolute, err := filepath.Abs(dir)
	if err != nil || filepath.IsLocal(dir) && filepath.Clean(dir) != "." {
		return dir
	}
	return absolute
}

// prepare starts the demo API, which may take nothing but tokens that are bound to a DPoP key, and registers it through the
// admin API as anyone would.
func (d *dev) prepare(ctx context.Context, apiListener net.Listener, adminURL string, bound bool) error {
	credential, err := readOperator(filepath.Join(d.dir, operatorFile))
	if err != nil {
		return advise(err, beginAnew(d.dir))
	}
	credential.Issuer, credential.Admin = d.issuer, adminURL
	if d.operator, err = newOperator(credential); err != nil {
		return err
	}
	verifier, err := resource.NewVerifier(resource.Config{
		Issuer: d.issuer, Audience: d.apiURL, Scopes: []string{scopeRead, scopeWrite}, RequireDPoP: bound,
	})
	if err != nil {
		return err
	}
	d.api = &http.Server{Handler: newDemoAPI(verifier), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	go func() { _ = d.api.Serve(apiListener) }() // ends with http.ErrServerClosed
	return d.registerAPI(ctx)
}

// registerAPI registers the demo API, unless an earlier start did.
func (d *dev) registerAPI(ctx context.Context) error {
	_, err := d.operator.CreateResource(ctx, admin.ResourceSettings{
		URI: d.apiURL, Name: "Demo orders", Scopes: []admin.Scope{
			{Name: scopeRead, Description: "Look at orders"}, {Name: scopeWrite, Description: "Place orders"},
		},
	})
	if isConflict(err) {
		return nil
	}
	return err
}

// demoClientName is what operators call the demo client.
const demoClientName = "demo"

// registerClient registers the demo client and leaves its variables in the env file, unless an earlier start did.
func (d *dev) registerClient(ctx context.Context) error {
	if known, err := d.operator.Client(ctx, demoClientName); err == nil {
		values, err := readEnvironment(d.env)
		if err == nil && values["WRIT_CLIENT_ID"] == known.ID && values["WRIT_RESOURCE"] == d.apiURL {
			return d.writeEnv(known.ID, values["WRIT_CLIENT_SECRET"])
		}
		if err := d.operator.DeleteClient(ctx, demoClientName); err != nil {
			return err
		}
	}
	made, err := d.operator.CreateClient(ctx, oauth.ClientMetadata{
		ClientName: demoClientName,
		Grants:     []oauth.Grant{{Resource: d.apiURL, Scopes: []string{scopeRead}, Defaults: []string{scopeRead}}},
	})
	if err != nil {
		return err
	}
	return d.writeEnv(made.ID, made.Secret.Reveal())
}

func (d *dev) writeEnv(clientID, secret string) error {
	operator, err := filepath.Abs(filepath.Join(d.dir, operatorFile))
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	d.clientID = clientID
	return writePrivate(d.env, []byte(environmentLines(
		"WRIT_ISSUER", d.issuer, "WRIT_CLIENT_ID", clientID, "WRIT_CLIENT_SECRET", secret,
		"WRIT_RESOURCE", d.apiURL, "WRIT_API", d.apiURL, operatorVariable, operator)+
		// Whoever sources this is about to run writ.
		"command -v writ >/dev/null || export PATH="+quoted(filepath.Dir(program))+`:"$PATH"`+"\n"))
}

// wait returns when the server stops.
func (d *dev) wait() error {
	err := <-d.stopped
	d.stopped <- nil
	return errors.Join(err, d.close())
}

func (d *dev) close() error {
	d.stop()
	err := <-d.stopped
	d.stopped <- nil
	if d.api != nil {
		err = errors.Join(err, d.api.Close())
	}
	return err
}

// greet says what runs where, and the four commands to try.
func (d *dev) greet(out io.Writer, asJSON bool) error {
	admin := d.operator.credential.Admin
	if asJSON {
		return writeJSON(out, map[string]string{
			"issuer": d.issuer, "admin": admin, "api": d.apiURL, "client_id": d.clientID, "env": d.env,
		})
	}
	paint := paletteFor(out)
	fmt.Fprintf(out, "%s\n\n", paint.bold("Writ is running, on this machine only."))
	err := writeFields(out, "  issuer", d.issuer, "  admin API", admin,
		"  demo API", d.apiURL+"   GET /orders (orders:read), POST /orders (orders:write)",
		"  demo client", demoClientName+"   may: orders:read", "  files", d.dir)
	fmt.Fprintf(out, "\nTry, in another terminal, in this directory:\n\n")
	for _, try := range [][2]string{
		{". " + sourceable(d.env), "who you are, for the commands below"},
		{"writ token | writ token inspect", "get a token and look inside"},
		{"writ curl $WRIT_API/orders", "call the API: 200"},
		{`writ curl -X POST -d '{"item":"quill"}' $WRIT_API/orders`, "refused: no orders:write"},
	} {
		fmt.Fprintf(out, "  %s  %s\n", paint.bold(fmt.Sprintf("%-57s", try[0])), paint.dim(try[1]))
	}
	fmt.Fprintf(out, "\n%s\n", paint.dim("Stop with Ctrl-C. To begin anew, remove "+named(d.dir)+"."))
	return err
}
