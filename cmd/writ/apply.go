package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/writ-auth/writ/admin"
)

func newApply() *cobra.Command {
	var flags declaredFlags
	var yes bool
	var fingerprint string
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make the registry what a file declares, all of it or nothing",
		Long: `Show the plan, ask, and make the registry what a file declares: all of it, or nothing if any
part of it cannot be, or if the registry has changed since the plan was shown. Applied once
more there is nothing to do.

With --prune what is not in the file is deleted, of the kinds that the file has a section for;
never the admin API, nor the operator that applies.

A secret is named by reference, as secret: {env: NAME} or secret: {file: PATH}. It is read here,
kept by the server as a hash, and shown nowhere.`,
		Example: "  writ apply -f registry.yaml\n  writ apply -f registry.yaml --prune --yes",
		Args:    noArgs,
	}
	flags.flags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "refuse if the plan is not the one with this `FINGERPRINT`,\nas writ plan --json gave it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !yes && (*flags.json || flags.path == "-" || !interactive(cmd.InOrStdin())) {
			return advise(usageError{errors.New("nobody can be asked here")}, "look at the plan with writ plan -f FILE, and agree to it with --yes")
		}
		api, file, plan, err := flags.plan(cmd, true)
		if err != nil {
			return err
		}
		if fingerprint != "" && fingerprint != plan.Fingerprint {
			return errOutdated
		}
		if !*flags.json {
			if err := writePlan(cmd.OutOrStdout(), plan, time.Now()); err != nil {
				return err
			}
		}
		if len(plan.Changes) > 0 {
			if !yes && !agreed(cmd) {
				return errors.New("nothing was changed")
			}
			file.Fingerprint = plan.Fingerprint
			if err := applyPlan(cmd, api, file); err != nil {
				return err
			}
		}
		if *flags.json {
			return writeJSON(cmd.OutOrStdout(), plan)
		}
		return nil
	}
	return cmd
}

var errOutdated = advise(errors.New("nothing was changed: the registry, or the file, is not what the plan was made from"), "look at the new plan: writ plan -f FILE")

func applyPlan(cmd *cobra.Command, api *operator, file *declaredFile) error {
	_, err := api.ApplyDeclared(cmd.Context(), file.Declaration)
	if problem, refused := errors.AsType[*admin.Problem](err); refused && isConflict(err) && strings.Contains(problem.Detail, "plan again") {
		return errOutdated
	}
	if err := file.where(err); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "Applied.")
	return err
}

func interactive(in io.Reader) bool {
	file, ok := in.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// agreed asks. Everything but a clear yes is a no.
func agreed(cmd *cobra.Command) bool {
	fmt.Fprint(cmd.ErrOrStderr(), "Apply this? Only yes counts: ")
	answer, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n') // an end is a no
	return strings.TrimSpace(answer) == "yes"
}
