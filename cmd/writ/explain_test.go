package main

import (
	"testing"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/authority"
)

// TestExplainCommandsExist: what an explanation tells to type is a command, with flags and arguments that it takes.
func TestExplainCommandsExist(t *testing.T) {
	t.Parallel()
	for _, reason := range authority.Reasons() {
		for _, command := range authority.ExplainEvent(audit.Event{Kind: "token.refused", Reason: reason, ClientID: "billing"}).Commands {
			checkCommand(t, command)
		}
	}
}

// checkCommand runs a line of ours as far as its flags and arguments go.
func checkCommand(t *testing.T, line string) {
	t.Helper()
	words, plain := split(line)
	if !plain {
		t.Errorf("%s is not a plain line", line)
	}
	if words[0] != "writ" {
		return
	}
	found, rest, err := newRoot(nil).Find(words[1:])
	if err == nil {
		err = found.ParseFlags(rest)
	}
	if err == nil && found.Args != nil {
		err = found.Args(found, found.Flags().Args())
	}
	if err != nil {
		t.Errorf("%s: %v", line, err)
	}
}
