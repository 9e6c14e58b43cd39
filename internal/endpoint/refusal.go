package endpoint

import (
	"errors"
	"net/http"

	"github.com/writ-auth/writ/internal/authority"
)

// headerRefusal has the ID of a refusal, which an operator asks `writ explain` about.
const headerRefusal = "Writ-Refusal"

// named puts the ID of a refusal into the header of its answer and returns how the description ends with it. It stands in
// the description because that is what every client shows to its people: of a header or another member few would hear, and
// error_uri is for a page that anybody can read (RFC 6749, 5.2). Two answers to one mistake differ in nothing else.
func named(w http.ResponseWriter, err error) string {
	refusal, is := errors.AsType[*authority.Refusal](err)
	if !is {
		return ""
	}
	w.Header().Set(headerRefusal, refusal.ID)
	return " (refusal " + refusal.ID + ")"
}
