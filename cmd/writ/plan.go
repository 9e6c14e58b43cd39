package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
)

// declaredFlags are what writ plan and writ apply have in common.
type declaredFlags struct {
	as    operatorFlag
	path  string
	prune bool
	json  *bool
}

func (f *declaredFlags) flags(cmd *cobra.Command) {
	f.as.flags(cmd)
	cmd.Flags().StringVarP(&f.path, "file", "f", "", "the `FILE` that says what is to be registered; - for standard input")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml") // fails only for a flag that is not there
	cmd.Flags().BoolVar(&f.prune, "prune", false, "delete what is not in the sections that the file has")
	f.json = jsonFlag(cmd)
}

// plan reads the file and asks the server what it would take.
func (f *declaredFlags) plan(cmd *cobra.Command, whole bool) (*operator, *declaredFile, admin.DeclaredPlan, error) {
	var none admin.DeclaredPlan
	file, err := readDeclared(cmd, f.path)
	if err != nil {
		return nil, nil, none, err
	}
	if whole {
		if err := file.complete(); err != nil {
			return nil, nil, none, err
		}
	}
	file.Prune = f.prune
	api, err := f.as.connect()
	if err != nil {
		return nil, nil, none, err
	}
	plan, err := api.PlanDeclared(cmd.Context(), file.Declaration)
	return api, file, plan, file.where(err)
}

func newPlan() *cobra.Command {
	var flags declaredFlags
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what writ apply would change, and what that would break",
		Long: `Show how the registry differs from what a file declares, and what would stop working, by what
was used in the last 90 days. Nothing is changed. A secret that is not at hand counts as a
change; writ apply asks for it.

With --exit-code the exit code is 3 if there is anything to do, and 0 if there is not, for CI;
1 and 2 still say that the plan could not be made.`,
		Example: "  writ plan -f registry.yaml\n  writ plan -f registry.yaml --prune --exit-code",
		Args:    noArgs,
	}
	flags.flags(cmd)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "end with 3 if there is anything to do")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, file, plan, err := flags.plan(cmd, false)
		if err != nil {
			return err
		}
		for _, text := range file.pending {
			fmt.Fprintln(cmd.ErrOrStderr(), "note: "+steady(text))
		}
		if *flags.json {
			err = writeJSON(cmd.OutOrStdout(), plan)
		} else {
			err = writePlan(cmd.OutOrStdout(), plan, time.Now())
		}
		if err == nil && exitCode && len(plan.Changes) > 0 {
			return silentError{errChanges}
		}
		return err
	}
	return cmd
}

// errChanges ends a command with exitChanges.
var errChanges = errors.New("there is something to do")

// writePlan writes a plan for people: in colour on a terminal, and the same text elsewhere.
func writePlan(out io.Writer, plan admin.DeclaredPlan, now time.Time) error {
	if len(plan.Changes) == 0 {
		_, err := fmt.Fprintln(out, "Nothing to do: everything is as declared.")
		return err
	}
	p := paletteFor(out)
	var text strings.Builder
	counts := map[string]int{}
	for _, change := range plan.Changes {
		counts[change.Action]++
		title := steady(change.Kind + " " + change.Name)
		switch change.Action {
		case "create":
			text.WriteString(p.green("+ "+title) + "\n")
		case "delete":
			text.WriteString(p.red("- "+title) + "\n")
		default:
			text.WriteString(p.yellow("~ "+title) + "\n")
		}
		writeFieldChanges(&text, p, change)
		for _, impact := range change.Impact {
			text.WriteString("    " + describeImpact(p, change, impact, now) + "\n")
		}
	}
	_, err := fmt.Fprintf(out, "%s\n%d to create, %d to change, %d to delete.\n", text.String(), counts["create"], counts["change"], counts["delete"])
	return err
}

// describeImpact says what was used lately and would work no more: "! reporting used scope orders:write 2 h ago …".
func describeImpact(p palette, change admin.DeclaredChange, impact admin.DeclaredImpact, now time.Time) string {
	used := ""
	if !impact.LastUsed.IsZero() {
		used = ago(now.Sub(impact.LastUsed)) + " from " + steady(impact.LastUsedFrom)
	}
	switch whose := steady(impact.Client); {
	case impact.Scope != "":
		return p.red("! "+whose+" used scope "+steady(impact.Scope)) + " " + used + p.red(": "+steady(impact.Text))
	case used == "":
		return p.red("! " + steady(impact.Text))
	case impact.Client != change.Name:
		return p.red("! "+whose+": "+steady(impact.Text)) + "; last used " + used
	}
	return p.red("! "+steady(impact.Text)) + "; last used " + used
}

func writeFieldChanges(text *strings.Builder, p palette, change admin.DeclaredChange) {
	for _, field := range change.Fields {
		name := steady(field.Field)
		value := func(v string) string {
			if strings.HasSuffix(name, "]") && v == "yes" { // an item of a list, which is there or is not
				return name
			}
			return name + ": " + steady(v)
		}
		if len(field.Removed) == 1 && len(field.Added) == 1 {
			fmt.Fprintf(text, "    %s\n", p.yellow("~ "+value(field.Removed[0])+" → "+steady(field.Added[0])))
			continue
		}
		for _, v := range field.Removed {
			fmt.Fprintf(text, "    %s\n", p.red("- "+value(v)))
		}
		for _, v := range field.Added {
			fmt.Fprintf(text, "    %s\n", p.green("+ "+value(v)))
		}
	}
}

// ago says how long something is past, in words that are short.
func ago(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return "a minute ago"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}
