package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/adminapi"
	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/authority"
)

// explain answers for the admin API why this node refused a request.
func (s *Server) explain(ctx context.Context, text string) (adminapi.Explanation, error) {
	id, good := authority.ParseRefusalID(text)
	if !good {
		return adminapi.Explanation{}, adminapi.NoRefusal("that is not the ID of a refusal: it has ten letters and digits")
	}
	told, counted, err := s.authority.Explain(ctx, id)
	if errors.Is(err, authority.ErrNoRefusal) {
		return adminapi.Explanation{}, adminapi.NoRefusal(unknownRefusal(id, counted))
	}
	if err != nil {
		return adminapi.Explanation{}, err
	}
	return adminapi.Explanation(*told), nil
}

// ErrNoRefusal is the error for an ID that no refusal has, or that is none.
var ErrNoRefusal = authority.ErrNoRefusal

var errNoID = unexplained("not the ID of a refusal")

// unexplained is an ErrNoRefusal with the whole of what is to be said.
type unexplained string

func (u unexplained) Error() string      { return string(u) }
func (unexplained) Is(target error) bool { return target == ErrNoRefusal }

// Explain looks for a refusal in the journal of a data directory, beside a server that runs or without one. What is
// registered it does not know, and what the journal only counted, and is in the server's memory, neither.
func Explain(ctx context.Context, data, text string) (adminapi.Explanation, error) {
	id, good := authority.ParseRefusalID(text)
	if !good {
		return adminapi.Explanation{}, fmt.Errorf("%q is %w: it has ten letters and digits", text, errNoID)
	}
	found, err := audit.FindRefusal(ctx, filepath.Join(data, "audit"), id, time.Time{})
	if err != nil {
		return adminapi.Explanation{}, fmt.Errorf("the journal in %s cannot be read: %w", data, err)
	}
	if found.Event == nil {
		return adminapi.Explanation{}, unexplained(unknownRefusal(id, authority.Count(found.Counted)))
	}
	return adminapi.Explanation(*authority.ExplainEvent(*found.Event)), nil
}

// maxCountedTold is how many kinds of counted refusals are named.
const maxCountedTold = 5

func unknownRefusal(id string, counted []authority.Counted) string {
	text := "no refusal has the ID " + id + " here: neither among the latest, nor in the journal. It may be of another node, each of which has its own"
	if len(counted) == 0 {
		return text
	}
	var kinds []string
	for _, some := range counted[:min(len(counted), maxCountedTold)] {
		kinds = append(kinds, fmt.Sprintf("%d of %s %s (%s to %s)", some.Count, some.Endpoint, some.Reason,
			some.Since.UTC().Format(time.RFC3339), some.Until.UTC().Format(time.RFC3339)))
	}
	return text + "; or one of a flood, of which the journal has only counts: " + strings.Join(kinds, ", ")
}
