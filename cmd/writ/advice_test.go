package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/writ-auth/writ/admin"
)

// Who lost a race against another operator is told that nothing was undone, and what to do.
func TestAdviceAfterALostRace(t *testing.T) {
	err := fmt.Errorf("update: %w", &admin.Problem{Status: http.StatusPreconditionFailed})
	if got := adviceFor(err); !strings.Contains(got, "run the command again") {
		t.Errorf("got %q", got)
	}
}
