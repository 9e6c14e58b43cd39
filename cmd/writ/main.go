// Command writ is the authorization server and everything that an operator or a developer does with it. Each command is
// one file here; what they do is done by internal/server, by the admin API, and by the public packages.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/oauth"
)

// version is set by the build (see Makefile).
var version = "dev"

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	// exitChanges is writ plan --exit-code's alone; 2 means something else already.
	exitChanges = 3
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	defer stop()
	var left work
	err := newRoot(&left).ExecuteContext(ctx)
	if err == nil && left != nil {
		err = left()
	}
	if err == nil {
		return exitDone
	}
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) { // who interrupts knows that it was interrupted
		report(os.Stderr, err)
	}
	if _, usage := errors.AsType[usageError](err); usage {
		return exitUsage
	}
	if errors.Is(err, errChanges) {
		return exitChanges
	}
	return exitFailed
}

// A work is what a command leaves to be done when nobody needs the commands any more: beside a server that runs for months, the
// collector would look through all of them several times a second.
type work func() error

func newRoot(left *work) *cobra.Command {
	root := &cobra.Command{
		Use:   "writ",
		Short: "Gives machines authority to call APIs",
		Long: `Writ is an OAuth 2.0 authorization server made only for machine-to-machine access.

New here?  writ demo   shows the whole flow once and exits
           writ dev    keeps it running, for your own experiments

Exit codes: 0 done, 1 failed, 2 put wrongly; of writ plan --exit-code, 3 something to do.`,
		Example:       "  writ demo\n  writ dev",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		text, _, _ := strings.Cut(err.Error(), ": strconv.") // which would say it again, in Go's words
		advice := "see: " + cmd.CommandPath() + " --help"
		if near := nearFlag(cmd, text); near != "" {
			advice = "did you mean: " + near + "\n" + advice
		}
		if strings.HasPrefix(text, "unknown shorthand flag") { // the ID of a key may begin so
			advice += "\nan argument that begins with - stands behind --"
		}
		return advise(usageError{errors.New(text)}, advice)
	})
	root.CompletionOptions.DisableDefaultCmd = true // newCompletion is ours
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
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
	add("start", newDemo(), newDev(), newInit(), newServe(left))
	add("registry", newClient(), newResource(), newRole(), newKey(), newImport(), newRevoke())
	add("registry", newRegistration(), newExport(), newPlan(), newApply())
	add("use", newToken(), newCurl())
	help := newHelp()
	add("operate", newAudit(), newBackup(), newConfig(), newDoctor(), newExplain(), newMigrate(), newRestore(), newVersion(), newCompletion(), help)
	root.SetHelpCommand(help)
	return root
}

// A usageError is a command that was put wrongly: exit code 2.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// A silentError has been told already, by what the command wrote.
type silentError struct{ error }

func (s silentError) Unwrap() error { return s.error }

// An adviceError says below the error what to do next.
type adviceError struct {
	error
	advice string
}

func (a *adviceError) Unwrap() error { return a.error }

// advise adds to an error what to do next.
func advise(err error, advice string) error { return &adviceError{err, advice} }

// report tells a person what failed and, below it, what to do next.
func report(w io.Writer, err error) {
	if _, told := errors.AsType[silentError](err); told {
		return
	}
	text := err.Error()
	if at, refused := refusedAt(err); refused {
		text = "nobody answers at " + at + ": connection refused"
	}
	if advice := adviceFor(err); advice != "" {
		text += "\n" + advice
	}
	const margin = "      "
	text = fold(text, columnsOf(w)-len(margin))
	fmt.Fprintln(w, "writ: "+strings.ReplaceAll(text, "\n", "\n"+margin))
}

// refusedAt returns the address of a server of ours where no process listens, if that is the error.
func refusedAt(err error) (address string, refused bool) {
	dial, ok := errors.AsType[*net.OpError](err)
	ours := strings.HasPrefix(err.Error(), "admin API: ") || strings.HasPrefix(err.Error(), "client: ")
	if !ok || !ours || !errors.Is(err, syscall.ECONNREFUSED) {
		return "", false
	}
	return dial.Addr.String(), true
}

// adviceFor returns the advice that an error brought along, or what helps with errors that any command can have.
func adviceFor(err error) string {
	if advised, ok := errors.AsType[*adviceError](err); ok {
		return advised.advice
	}
	if errors.Is(err, oauth.InvalidClient) {
		return "name another operator's credential with --operator FILE, or make a new one, with the server stopped: writ init --new-operator"
	}
	if problem, refused := errors.AsType[*admin.Problem](err); refused {
		return adviceForProblem(problem)
	}
	if _, refused := refusedAt(err); refused {
		return "is the server running? start it in this directory: writ dev, or writ serve"
	}
	return ""
}

// noArgs and exactArgs are cobra's checks with our exit code and a way out.
func noArgs(cmd *cobra.Command, args []string) error { return exactArgs()(cmd, args) }

func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return advise(usageError{errors.New(names[len(args)] + " is missing")}, "usage: "+cmd.UseLine())
		}
		return atMostArgs(len(names))(cmd, args)
	}
}

func atMostArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) <= n:
			return nil
		case cmd.HasSubCommands():
			return unknownCommand(args[0], cmd)
		}
		return advise(usageError{fmt.Errorf("unexpected argument %q", args[n])}, "usage: "+cmd.UseLine())
	}
}

func unknownCommand(name string, parent *cobra.Command) error {
	err := usageError{fmt.Errorf("unknown command %q for %q", name, parent.CommandPath())}
	parent.SuggestionsMinimumDistance = 2
	if near := parent.SuggestionsFor(name); len(near) > 0 {
		return advise(err, "did you mean: "+parent.CommandPath()+" "+strings.Join(near, ", or "+parent.CommandPath()+" "))
	}
	return advise(err, "see: "+parent.CommandPath()+" --help")
}
