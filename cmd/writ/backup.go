package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/internal/server"
)

func newBackup() *cobra.Command {
	var from configuration
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the database, also while the server runs",
		Long: `Write what the SQLite database holds at this moment into FILE, and what that is into FILE.json:
both are needed to restore it. The server may run meanwhile. PostgreSQL has pg_dump.

What is in it serves nobody without the root key: keep a copy of that elsewhere. Of the journal,
DATA/audit, keep copies as of any log.`,
		Example: "  writ backup writ-2027-03-01.db\n  writ backup /backup/writ.db --config /etc/writ/writ.yaml",
		Args:    exactArgs("FILE"),
	}
	from.flags(cmd)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		config, err := from.load()
		if err != nil {
			return err
		}
		made, err := server.TakeBackup(cmd.Context(), config, args[0])
		switch {
		case errors.Is(err, server.ErrOwnMeans):
			return advise(err, "pg_dump --format=custom --file="+args[0]+" DSN")
		case errors.Is(err, fs.ErrExist):
			return advise(err, "name a file that is not there yet: backups are not written over")
		case errors.Is(err, fs.ErrNotExist):
			return advise(err, "say where the server's data is: --config FILE, or --set data=DIR")
		case err != nil:
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), map[string]any{
				"file": made.File, "taken": made.Taken, "schema": made.Schema, "generation": made.Generation, "changes": made.Changes, "sha256": made.SHA256,
			})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s and %[1]s.json: the database at %s, with %d changes in its history.\n", made.File, made.Taken.Format(time.RFC3339), made.Changes)
		return err
	}
	return cmd
}

func newRestore() *cobra.Command {
	var from configuration
	var revoke string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup into the database's place, and tell what that undoes",
		Long: `Put a backup into the place of the SQLite database, with the server stopped. What was there
is kept under another name, and so is the journal: what it has signed is of a history that is
no more. The history says that it was restored, and from what.

Everything that was changed since the backup is undone. The command tells what that is, if the
database that is there can still be read: look with --dry-run first.`,
		Example: `  writ restore writ-2027-03-01.db --dry-run
  writ restore writ-2027-03-01.db --revoke-since now`,
		Args: exactArgs("FILE"),
	}
	from.flags(cmd)
	dry := cmd.Flags().Bool("dry-run", false, "tell what would be undone, and change nothing")
	cmd.Flags().StringVar(&revoke, "revoke-since", "", "make all tokens from before `TIME` inactive, so that none that was revoked\nsince the backup counts again: 2027-03-01T12:00:00Z, or now")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		before, err := restoreTime(revoke)
		if err != nil {
			return err
		}
		config, err := from.load()
		if err != nil {
			return err
		}
		done, err := server.Restore(cmd.Context(), config, args[0], before, *dry)
		switch {
		case errors.Is(err, server.ErrOwnMeans):
			return advise(err, "pg_restore --dbname=DSN "+args[0])
		case errors.Is(err, server.ErrInUse):
			return advise(err, "stop the server first")
		case err != nil:
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), done)
		}
		return tellRestored(cmd, done, *dry)
	}
	return cmd
}

func restoreTime(text string) (time.Time, error) {
	switch text {
	case "":
		return time.Time{}, nil
	case "now":
		return time.Now().UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.After(time.Now()) {
		return at, advise(usageError{fmt.Errorf("--revoke-since %q is no time that is over", text)}, "write it as 2027-03-01T12:00:00Z, or now")
	}
	return at, nil
}

func tellRestored(cmd *cobra.Command, done server.Restored, dry bool) error {
	out := cmd.OutOrStdout()
	did := "Restored"
	if dry {
		did = "Nothing was changed. This would restore"
	}
	fmt.Fprintf(out, "%s %s as it was at %s.\n", did, done.Database, done.Taken.Format(time.RFC3339))
	for _, kept := range []string{done.Former, done.FormerJournal} {
		if kept != "" {
			fmt.Fprintf(out, "What was there is kept: %s\n", kept)
		}
	}
	if !done.RevokedBefore.IsZero() {
		fmt.Fprintf(out, "Tokens from before %s are inactive.\n", done.RevokedBefore.Format(time.RFC3339))
	}
	tellAll(out, "Changed since, and undone:", done.Undone)
	tellAll(out, "Not to be known:", done.Unknown)
	if dry {
		return nil
	}
	_, err := fmt.Fprintln(out, "\nAPIs that check signatures alone take tokens until they expire. To end those, too: writ key rotate --now")
	return err
}

// tellAll writes lines under a heading, up to as many as somebody reads.
func tellAll(out io.Writer, heading string, lines []string) {
	const most = 100
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", heading)
	for _, line := range lines[:min(len(lines), most)] {
		fmt.Fprintf(out, "  %s\n", line)
	}
	if more := len(lines) - most; more > 0 {
		fmt.Fprintf(out, "  and %d more: --json has them all\n", more)
	}
}
