package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/internal/server"
)

func newExplain() *cobra.Command {
	var as operatorFlag
	var data string
	cmd := &cobra.Command{
		Use:   "explain ID",
		Short: "Tell why a request was refused",
		Long: `Tell why a request was refused, by the ID that its answer had: in error_description, and in the
header Writ-Refusal. The caller hears no more than that, so that nobody learns who is registered;
here is told which rule refused, what was presented and what is registered, and what would have
worked. What was presented is what the caller wrote: it may not be who it said. Secrets, tokens
and assertions are not kept.

The node that refused is asked, for one of its latest 2048 refusals at least and for all that its
journal has a line for. A flood is counted in the journal, and not written one by one. With --data
the journal alone is read, without a server; what is registered is then not told.`,
		Example: "  writ explain 7k3m9x2qpt\n  writ explain 7k3m9x2qpt --json\n  writ explain 7k3m9x2qpt --data /var/lib/writ",
		Args:    exactArgs("ID"),
	}
	as.flags(cmd)
	cmd.Flags().StringVar(&data, "data", "", "read the journal in this data `DIRECTORY` instead of asking the server")
	_ = cmd.MarkFlagDirname("data") // fails only for a flag that is not there
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		told, err := explained(cmd, &as, data, args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), told)
		}
		return writeExplanation(cmd.OutOrStdout(), told)
	}
	return cmd
}

func explained(cmd *cobra.Command, as *operatorFlag, data, id string) (admin.Explanation, error) {
	if data != "" {
		told, err := server.Explain(cmd.Context(), data, id)
		if errors.Is(err, server.ErrNoRefusal) {
			err = advise(err, adviceUnexplained("ask the running server, which remembers its latest: writ explain "+argument(id)))
		}
		return told, err
	}
	api, err := as.connect()
	if err != nil {
		return admin.Explanation{}, advise(err, "or read the journal itself, on the node that refused: --data DIRECTORY")
	}
	told, err := api.Explain(cmd.Context(), id)
	if problem, refused := errors.AsType[*admin.Problem](err); refused && problem.Status == http.StatusNotFound {
		err = advise(err, adviceUnexplained("ask each node, or read its journal there: writ explain "+argument(id)+" --data DIRECTORY"))
	}
	return told, err
}

// adviceUnexplained says where else to look for a refusal that was not found.
func adviceUnexplained(elsewhere string) string {
	return "is it the whole ID? It stands in the answer behind \"refusal\", and in the header Writ-Refusal\n" +
		"if it is: " + elsewhere + "\n" +
		"what the journal has: writ audit list --kind token.refused; older files of it may be in an archive"
}

func writeExplanation(out io.Writer, told admin.Explanation) error {
	colour := paletteFor(out)
	who := told.Client
	switch {
	case who != "" && told.ClientID != who:
		who += " (" + told.ClientID + ")"
	case who == "" && told.ClientID != "":
		who = strconv.QuoteToASCII(told.ClientID) + ", as the request says"
	case who == "":
		who = "nobody was named"
	}
	fmt.Fprintf(out, "%s\n\n", colour.bold("Refused: "+told.Rule+"."))
	err := writeFields(out,
		"when", told.Time.Local().Format(time.DateTime+" MST"), "endpoint", told.Endpoint, "client", who, "from", told.Remote,
		"reason", told.Reason, "answer", told.Answer, "request ID", told.RequestID)
	if err != nil {
		return err
	}
	writeFacts(out, "Presented, as the caller wrote it:", told.Presented)
	writeFacts(out, "Registered now:", told.Registered)
	if told.Remedy != "" {
		fmt.Fprintf(out, "\nWould have worked: %s.\n", told.Remedy)
	}
	for i, command := range told.Commands {
		if i == 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintln(out, "  "+command)
	}
	if told.Counted > 0 {
		fmt.Fprintf(out, "\nIn the journal it has no line of its own: one line stands for %d such refusals.\n", told.Counted)
	}
	return nil
}

// writeFacts writes what strangers wrote in characters that a terminal only shows.
func writeFacts(out io.Writer, title string, facts map[string]string) {
	if len(facts) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", title)
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		pairs = append(pairs, "  "+name, printable(facts[name]))
	}
	_ = writeFields(out, pairs...) // an error of standard output shows at the next line
}

// printable escapes what would do something to a terminal.
func printable(text string) string {
	quoted := strconv.QuoteToASCII(text)
	if plain := quoted[1 : len(quoted)-1]; plain == text {
		return text
	}
	return quoted
}
