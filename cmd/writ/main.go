// Command writ is the authorization server and everything that an operator or a developer does with it. Each command is
// one file here; what they do is done by internal/server, by the admin API, and by the public packages.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the build (see Makefile).
var version = "dev"

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	defer stop()
	err := newRoot().ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var silent silentError
	if !errors.As(err, &silent) {
		fmt.Fprintln(os.Stderr, "writ: "+err.Error())
	}
	var advised *adviceError
	if errors.As(err, &advised) {
		fmt.Fprintln(os.Stderr, "      "+advised.advice)
	}
	if _, usage := errors.AsType[usageError](err); usage {
		return exitUsage
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "writ",
		Short: "Gives machines authority to call APIs",
		Long: `Writ is an OAuth 2.0 authorization server made only for machine-to-machine access.

New here?  writ demo   shows the whole flow once and exits
           writ dev    keeps it running, for your own experiments`,
		Example:       "  writ demo\n  writ dev",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w\n      see: %s --help", err, cmd.CommandPath())}
	})
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddGroup(
		&cobra.Group{ID: "start", Title: "Start:"},
		&cobra.Group{ID: "registry", Title: "Registry (talks to the running server's admin API):"},
		&cobra.Group{ID: "use", Title: "Use:"},
		&cobra.Group{ID: "operate", Title: "Operate:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, command := range commands {
			command.GroupID = group
			root.AddCommand(command)
		}
	}
	add("start", newDemo(), newDev(), newInit(), newServe())
	add("registry", newClient(), newResource(), newRole(), newKey())
	add("use", newToken(), newCurl())
	add("operate", newConfig(), newMigrate(), newVersion())
	root.SetHelpCommandGroupID("operate")
	root.SetCompletionCommandGroupID("operate")
	return root
}

// A usageError is a command that was put wrongly: exit code 2.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// A silentError has been told already, by what the command wrote.
type silentError struct{ error }

// An adviceError says below the error what to do next.
type adviceError struct {
	error
	advice string
}

func (a *adviceError) Unwrap() error { return a.error }

// advise adds to an error what to do next.
func advise(err error, advice string) error { return &adviceError{err, advice} }

// noArgs and exactArgs are cobra's checks with our exit code and a way out.
func noArgs(cmd *cobra.Command, args []string) error { return exactArgs()(cmd, args) }

func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError{fmt.Errorf("%s is missing\n      usage: %s", names[len(args)], cmd.UseLine())}
		case len(args) > len(names) && cmd.HasSubCommands():
			return usageError{fmt.Errorf("unknown command %q for %q\n      see: %s --help", args[0], cmd.CommandPath(), cmd.CommandPath())}
		case len(args) > len(names):
			return usageError{fmt.Errorf("unexpected argument %q\n      usage: %s", args[len(names)], cmd.UseLine())}
		}
		return nil
	}
}
