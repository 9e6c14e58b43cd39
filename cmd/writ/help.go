package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Explain a command",
		Example: "  writ help client create",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil {
				return usageError{err}
			}
			if len(rest) > 0 {
				return unknownCommand(rest[0], found)
			}
			found.InitDefaultHelpFlag() // as --help has done
			return found.Help()
		},
	}
}

// shells are those that completion is written for.
var shells = map[string]func(*cobra.Command, io.Writer) error{
	"bash":       func(root *cobra.Command, out io.Writer) error { return root.GenBashCompletionV2(out, true) },
	"zsh":        (*cobra.Command).GenZshCompletion,
	"fish":       func(root *cobra.Command, out io.Writer) error { return root.GenFishCompletion(out, true) },
	"powershell": (*cobra.Command).GenPowerShellCompletionWithDesc,
}

func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script that completes commands in bash, zsh, fish or powershell",
		Example: `  . <(writ completion bash)                                    # this bash; in ~/.bashrc: every one
  writ completion zsh > "${fpath[1]}/_writ"
  writ completion fish > ~/.config/fish/completions/writ.fish
  writ completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      exactArgs("SHELL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, known := shells[args[0]]
			if !known {
				return usageError{fmt.Errorf("%q is none of the shells bash, zsh, fish and powershell", args[0])}
			}
			return write(cmd.Root(), cmd.OutOrStdout())
		},
	}
}
