package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/internal/server"
)

func newAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Read what happened and what was changed, and verify it",
		Long: `What happened, from the journal of a node: tokens issued and refused, revocations; and what
was changed, from the history in the database: who changed which client, resource, role or
key. Both are chains of hashes, and each keeps what was signed about the other.

The commands ask the running server, or read a data directory on this machine: --data DIR.`,
		Example: "  writ audit list --since 1h\n  writ audit verify",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var as operatorFlag
	as.flags(cmd)
	cmd.AddCommand(newAuditList(&as), newAuditVerify(&as))
	return cmd
}

// An auditSource says where a trail is read: through the admin API, or from a data directory.
type auditSource struct {
	as   *operatorFlag
	data string
	from configuration
	keys []string
}

func (s *auditSource) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.data, "data", "", "read this data directory `DIR`, instead of asking the server")
	cmd.Flags().StringVarP(&s.from.file, "config", "c", "", "with --data: configuration `FILE`, where the database is elsewhere")
	_ = cmd.MarkFlagDirname("data") // fails only for a flag that is not there
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

// An auditTrail is that of a running server, or of a data directory.
type auditTrail struct {
	Page   func(ctx context.Context, filter admin.AuditFilter, after string, limit int) (admin.AuditPage, error)
	Verify func(ctx context.Context) (admin.AuditReport, error)
}

// open returns the trail, and what to do when it is not needed any more.
func (s *auditSource) open(ctx context.Context) (auditTrail, func() error, error) {
	if s.data == "" {
		if s.from.file != "" || len(s.keys) > 0 {
			return auditTrail{}, nil, advise(usageError{errors.New("--config and --signed-by are for a data directory")}, "name it: --data DIR")
		}
		api, err := s.as.connect()
		if err != nil {
			return auditTrail{}, nil, err
		}
		return auditTrail{Page: api.AuditPage, Verify: api.VerifyAudit}, func() error { return nil }, nil
	}
	if _, err := os.Stat(s.data); err != nil {
		return auditTrail{}, nil, advise(fmt.Errorf("there is no data directory %s", s.data), "it is the setting data of the server: writ-data, unless it was configured otherwise")
	}
	s.from.set = []string{"data=" + s.data}
	config, err := s.from.load()
	if err != nil {
		return auditTrail{}, nil, err
	}
	trail, done, err := server.OpenAudit(ctx, config, s.keys)
	return auditTrail(trail), done, err
}

func newAuditVerify(as *operatorFlag) *cobra.Command {
	from := auditSource{as: as}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Find what was changed, removed, moved or cut off",
		Long: `Go along the journal and the history of changes and say where they do not hold: which file
and line, or which change, and what is wrong. Exit code 1 if there is anything.

Lines that were cut off at the end are found by the checkpoint that the server signs every
minute and when it stops, and keeps in the database; of what came behind the last one, nobody
would know. Files may be missing at the start: those that went to an archive.`,
		Example: `  writ audit verify
  writ audit verify --data /var/lib/writ
  writ audit verify --data copy --signed-by "$(cat audit.pub)"`,
		Args: noArgs,
	}
	from.flags(cmd)
	cmd.Flags().StringArrayVar(&from.keys, "signed-by", nil, "with --data: public `KEY` of checkpoints, as the server logs it when it\nstarts; may be repeated")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		trail, done, err := from.open(cmd.Context())
		if err != nil {
			return err
		}
		report, err := trail.Verify(cmd.Context())
		if err = errors.Join(err, done()); err != nil {
			return err
		}
		if *asJSON {
			err = writeJSON(cmd.OutOrStdout(), report)
		} else {
			err = tellAudit(cmd, report)
		}
		if err == nil && !report.Good {
			err = silentError{errors.New("the audit trail does not hold")}
		}
		return err
	}
	return cmd
}

// tellAudit tells a person what was found.
func tellAudit(cmd *cobra.Command, r admin.AuditReport) error {
	out, paint := cmd.OutOrStdout(), paletteFor(cmd.OutOrStdout())
	for _, f := range r.Findings {
		fmt.Fprintln(out, paint.red(strings.TrimSpace(foundAt(f)+" "+printable(f.Text))))
	}
	for _, note := range r.Notes {
		fmt.Fprintln(out, paint.yellow("note: "+printable(note)))
	}
	journal := fmt.Sprintf("%d lines in %d files from %s on", r.Journal.Lines, r.Journal.Files, r.Journal.First)
	if r.Journal.First == "" {
		journal = "nothing"
	}
	signed := "nothing"
	if !r.Journal.Signed.IsZero() {
		signed = fmt.Sprintf("up to %s; %d lines behind it", r.Journal.Signed.Local().Format(time.DateTime), r.Journal.Unsigned)
	}
	history := "not checked"
	if r.History.Checked {
		history = fmt.Sprintf("%d changes, signed up to %d", r.History.Changes, r.History.Signed)
	}
	if err := writeFields(out, "journal", journal, "signed", signed, "history", history); err != nil {
		return err
	}
	verdict := paint.green("Everything holds.")
	if !r.Good {
		verdict = paint.red(fmt.Sprintf("It does not hold: %d findings.", len(r.Findings)))
	}
	_, err := fmt.Fprintln(out, verdict)
	return err
}

func foundAt(f admin.AuditFinding) string {
	switch {
	case f.File != "":
		return fmt.Sprintf("%s: line %d:", f.File, f.Line)
	case f.Change > 0:
		return fmt.Sprintf("history: change %d:", f.Change)
	}
	return ""
}
