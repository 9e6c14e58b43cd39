package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
)

func newAuditList(as *operatorFlag) *cobra.Command {
	from := auditSource{as: as}
	var filter admin.AuditFilter
	var since, until string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what happened and what was changed, oldest first",
		Long: `List what happened on the node that answers, and what was changed on all of them, oldest
first. Every filter that is given must hold.

Times are RFC 3339, a date, or a duration: how long ago.`,
		Example: `  writ audit list --since 1h
  writ audit list --client billing --kind token.refused --since 2026-11-01
  writ audit list --actor operator --json
  writ audit list --follow --kind token
  writ audit list --data /var/lib/writ --since 24h --csv > day.csv`,
		Args: noArgs,
	}
	from.flags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&since, "since", "", "nothing from before `TIME`")
	flags.StringVar(&until, "until", "", "nothing from `TIME` on")
	flags.StringVar(&filter.Client, "client", "", "`NAME` or ID: what the client did and what was changed about it")
	flags.StringVar(&filter.Kind, "kind", "", "`KIND`, such as token.refused; token means all that begin so")
	flags.StringVar(&filter.Actor, "actor", "", "`NAME` or ID of the client that made a change")
	flags.StringVar(&filter.Reason, "reason", "", "`WORD`: why a request was refused")
	flags.StringVar(&filter.RequestID, "request-id", "", "`ID` of a request")
	follow := flags.BoolP("follow", "f", false, "go on with what comes, until interrupted")
	asCSV := flags.Bool("csv", false, "write CSV, for spreadsheets")
	asJSON := flags.Bool("json", false, "write JSON, a line for each, for programs")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *asCSV && *asJSON {
			return advise(usageError{errors.New("--csv and --json are two forms of the same")}, "leave one of them away")
		}
		var err, untilErr error
		filter.Since, err = whenever(since, time.Now())
		filter.Until, untilErr = whenever(until, time.Now())
		if err = errors.Join(err, untilErr); err != nil {
			return advise(usageError{err}, "such as 2026-11-22T12:00:00Z, 2026-11-22, or 90m for an hour and a half ago")
		}
		trail, done, err := from.open(cmd.Context())
		if err != nil {
			return err
		}
		write, written := newAuditWriter(cmd.OutOrStdout(), *asJSON, *asCSV), 0
		record := write.record
		write.record = func(r admin.AuditRecord) error {
			written++
			return record(r)
		}
		err = listAudit(cmd.Context(), trail, filter, *follow, write)
		if err == nil && written == 0 && !*asJSON && !*asCSV {
			fmt.Fprintln(cmd.ErrOrStderr(), "Nothing on record is as asked for.")
		}
		return errors.Join(err, done())
	}
	return cmd
}

// whenever reads a time, or how long ago it was; "" is the zero time.
func whenever(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if days, err := strconv.ParseUint(strings.TrimSuffix(text, "d"), 10, 16); err == nil && strings.HasSuffix(text, "d") {
		return now.Add(-time.Duration(days) * 24 * time.Hour), nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	at, err := time.ParseInLocation(time.DateOnly, text, time.Local)
	if err != nil {
		return at, fmt.Errorf("%q is no time", text)
	}
	return at, nil
}

// auditPage is how many records are asked for at once, and followEvery how often when there are none.
const (
	auditPage   = 500
	followEvery = time.Second
)

// listAudit writes page after page, and with follow those that come.
func listAudit(ctx context.Context, trail auditTrail, filter admin.AuditFilter, follow bool, write auditWriter) error {
	for after := ""; ; {
		page, err := trail.Page(ctx, filter, after, auditPage)
		if err != nil {
			return err
		}
		for _, record := range page.Items {
			if err := write.record(record); err != nil {
				return err
			}
		}
		if err := write.flush(); err != nil {
			return err
		}
		if after = page.Position; page.Next != "" {
			continue
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

// An auditWriter writes records in one of three forms.
type auditWriter struct {
	record func(admin.AuditRecord) error
	flush  func() error
}

func newAuditWriter(out io.Writer, asJSON, asCSV bool) auditWriter {
	nothing := func() error { return nil }
	if asJSON {
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		return auditWriter{func(r admin.AuditRecord) error { return lines.Encode(r) }, nothing}
	}
	if asCSV {
		rows := csv.NewWriter(out)
		_ = rows.Write(csvColumns) // Flush has the error
		return auditWriter{func(r admin.AuditRecord) error { return rows.Write(csvRow(r)) }, func() error {
			rows.Flush()
			return rows.Error()
		}}
	}
	const layout = "%-19s  %-23s  %-28s  %s\n"
	begun := false
	return auditWriter{func(r admin.AuditRecord) error {
		if !begun {
			begun = true
			fmt.Fprintf(out, layout, "TIME", "KIND", "WHO", "WHAT")
		}
		who, what := toldOf(r)
		_, err := fmt.Fprintf(out, layout, r.Time.Local().Format(time.DateTime), printable(r.Kind), printable(who), printable(what))
		return err
	}, nothing}
}

// toldOf returns who did something and what it was, for people.
func toldOf(r admin.AuditRecord) (who, what string) {
	if r.Source == "history" {
		what := []string{r.Object}
		if r.Remote != "" {
			what = append(what, "from="+r.Remote)
		}
		return r.Actor, strings.Join(what, " ")
	}
	var parts []string
	for _, part := range [][2]string{
		{"", r.Reason}, {"x", times(r.Count)}, {"scope=", r.Scope}, {"for=", strings.Join(r.Audience, ",")}, {"from=", r.Remote},
		{"token=", r.TokenID}, {"refusal=", r.Refusal}, {"request=", r.RequestID},
	} {
		if part[1] != "" {
			parts = append(parts, part[0]+part[1])
		}
	}
	return r.ClientID, strings.Join(parts, " ")
}

func times(count int64) string {
	if count < 2 {
		return ""
	}
	return strconv.FormatInt(count, 10)
}

var csvColumns = []string{
	"time", "kind", "source", "actor", "object", "detail", "client_id", "token_id", "reason", "refusal", "request_id", "remote", "scope", "audience",
	"count", "sequence",
}

func csvRow(r admin.AuditRecord) []string {
	row := []string{
		r.Time.UTC().Format(time.RFC3339Nano), r.Kind, r.Source, r.Actor, r.Object, r.Detail, r.ClientID, r.TokenID, r.Reason, r.Refusal, r.RequestID,
		r.Remote, r.Scope, strings.Join(r.Audience, " "), number(r.Count), number(r.Sequence),
	}
	for i, cell := range row {
		row[i] = cellOf(cell)
	}
	return row
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// cellOf makes a text one that no spreadsheet takes for a formula (CO-08): whoever is refused chooses the client_id, and so
// what is run on the machine of who looks at it.
func cellOf(text string) string {
	if strings.IndexAny(text, "=+-@\t\r\n") == 0 || strings.HasPrefix(text, "＝") || strings.HasPrefix(text, "＋") || strings.HasPrefix(text, "－") || strings.HasPrefix(text, "＠") {
		return "'" + text
	}
	return text
}
