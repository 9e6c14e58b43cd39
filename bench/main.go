// Command bench measures Writ against its limit: a bare net/http server that does nothing for a token but parse, compare,
// sign and answer (limit*.go). Both run in turn on the same core, under the same load from the other cores, and what counts is
// the ratio. make bench runs it; docs/performance.md is what it writes.
//
//	go run ./bench                  everything, in under 20 minutes
//	go run ./bench -quick           the same in a minute or two, for a look
//	go run ./bench -only es256      what begins so
//
// The same binary is the limit server (bench limit) and the API of the rows about package resource (bench api).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 && args[0] == "limit" {
		return serveLimit(args[1:])
	}
	if len(args) > 0 && args[0] == "api" {
		return serveAPI(args[1:])
	}
	settings, err := readSettings(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // not in the servers, which just end
	defer stop()
	return benchmark(ctx, settings)
}

// readSettings reads the command line.
func readSettings(args []string) (settings, error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "a look, not a measurement")
	only := flags.String("only", "", "only rows whose name begins with one of these `WORDS`, separated by commas")
	out := flags.String("out", "bin/bench", "`DIR` for the table, the chart and the binaries")
	document := flags.String("document", "", "rewrite the marked blocks of this `FILE`, and the chart beside it")
	source := flags.String("source", ".", "`DIR` of Writ's source")
	rounds := flags.Int("rounds", 0, "how often both sides are measured in turn; 0: as often as the run has it")
	connections := flags.Int("connections", 0, "only rows at this number of connections; 0: at all of them")
	issued := flags.Int("issued", 0, "how many tokens to issue for the row that says what they leave behind")
	var peer peer
	flags.StringVar(&peer.url, "peer-url", os.Getenv("PEER_URL"), "`URL` of another token endpoint to measure")
	flags.StringVar(&peer.id, "peer-client-id", os.Getenv("PEER_CLIENT_ID"), "`ID` of its client; the secret is in PEER_CLIENT_SECRET")
	flags.StringVar(&peer.form, "peer-form", os.Getenv("PEER_FORM"), "`FORM` fields beside the grant type, such as scope=read")
	flags.IntVar(&peer.pid, "peer-pid", 0, "`PID` of its process, if it is on this machine: its CPU and memory")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	s := fullRun
	if *quick {
		s = quickRun
	}
	if *issued > 0 {
		s.issued = *issued
	}
	if *rounds > 0 {
		s.rounds = *rounds
	}
	if *connections > 0 {
		s.connections, s.busy = []int{*connections}, *connections
	}
	peer.secret = os.Getenv("PEER_CLIENT_SECRET")
	s.only, s.document, s.peer, s.progress = *only, *document, peer, os.Stderr
	var err error
	if s.out, err = filepath.Abs(*out); err != nil {
		return s, err
	}
	s.source, err = filepath.Abs(*source)
	return s, err
}
