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

// Who lacks something is told where it is seen, or who gives it.
func TestAdviceForProblems(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		problem admin.Problem
		want    string
	}{
		{admin.Problem{Status: http.StatusForbidden, Detail: "insufficient_scope: the token lacks a scope that this request needs: audit:read"}, "writ client update NAME --grant"},
		{admin.Problem{Status: http.StatusNotFound, Detail: "there is no client billing"}, "writ client list"},
		{admin.Problem{Status: http.StatusNotFound, Detail: "there is no initial access token x"}, "writ registration token list"},
		{admin.Problem{Status: http.StatusConflict, Detail: "the client billing has the role"}, "--remove-role"},
		{admin.Problem{Status: http.StatusConflict, Detail: "a client named billing exists already"}, ""},
	} {
		if got := adviceFor(&test.problem); !strings.Contains(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: got %q", test.problem.Detail, got)
		}
	}
}
