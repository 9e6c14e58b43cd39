package main

import (
	"net/http"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/writ-auth/writ/admin"
)

// lists are where it is seen what there is, by what the server says that there is not.
var lists = []struct{ says, advice string }{
	{"there is no client ", "see: writ client list"},
	{"there is no resource ", "see: writ resource list; one is made with: writ resource create URI --scope NAME"},
	{"there is no role ", "see: writ role list; one is made with: writ role create NAME --grant RESOURCE=SCOPES"},
	{"there is no secret ", "see: writ client secret list NAME"},
	{"there is no key ", "see: writ key list, or of a client writ client key list NAME"},
	{"there is no initial access token ", "see: writ registration token list"},
	{" has no scope ", "see: writ resource show URI; one is added with: writ resource update URI --add-scope NAME"},
	{" names the resource", "take it away there first: writ client update NAME --remove-grant URI, writ role update NAME --remove-grant URI"},
	{" has the role", "take it away there first: writ client update NAME --remove-role ROLE"},
}

// adviceForProblem says what to do about what the server refused.
func adviceForProblem(problem *admin.Problem) string {
	if problem.Status == http.StatusPreconditionFailed {
		return "somebody changed it at the same time, and nothing of theirs was undone: look at it, and run the command again"
	}
	if problem.Status == http.StatusForbidden {
		return "an operator who holds it can give it: writ client update NAME --grant \"ISSUER/admin/v1=ALL ITS SCOPES\"; or name another credential with --operator FILE"
	}
	for _, list := range lists {
		if strings.Contains(problem.Error(), list.says) {
			return list.advice
		}
	}
	return ""
}

// nearFlag returns the flag of a command that an unknown one was probably meant to be.
func nearFlag(cmd *cobra.Command, text string) (near string) {
	wrong, unknown := strings.CutPrefix(text, "unknown flag: --")
	if !unknown {
		return ""
	}
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		common := len(flag.Name) >= 3 && len(wrong) >= 3 && (strings.Contains(flag.Name, wrong) || strings.Contains(wrong, flag.Name))
		if common && (near == "" || distance(flag.Name, wrong) < distance(near, wrong)) {
			near = flag.Name
		}
	})
	if near == "" {
		return ""
	}
	return "--" + near
}

// distance is how much longer one of two names is.
func distance(a, b string) int { return max(len(a)-len(b), len(b)-len(a)) }
