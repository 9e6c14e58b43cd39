package authority

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/oauth"
)

// A Refusal is the error of a request that was refused, with the ID that the caller hears and the operator asks about. The
// ID is random: it tells nothing, whoever was refused and why.
type Refusal struct {
	ID    string // see ParseRefusalID
	cause error
}

func (r *Refusal) Error() string { return r.cause.Error() }

// Unwrap returns what the caller hears: an *oauth.Error, an *Unavailable, or an error of ours.
func (r *Refusal) Unwrap() error { return r.cause }

// refusalLetters are those of an ID: what is read over the telephone as something else is not among them.
const (
	refusalLetters = "0123456789abcdefghjkmnpqrstvwxyz"
	refusalLength  = 10
)

// newRefusalID returns 50 random bits: nobody meets the ID of another by trying, and a person can type it.
func newRefusalID() string {
	id := make([]byte, refusalLength)
	rand.Read(id) // never fails (crypto/rand)
	for i := range id {
		id[i] = refusalLetters[id[i]%byte(len(refusalLetters))]
	}
	return string(id)
}

// ParseRefusalID reads the ID of a refusal as people write it: in capitals, with l for 1 and o for 0, with what stands around
// it in an answer. It reports whether text can be one.
func ParseRefusalID(text string) (string, bool) {
	text = strings.ToLower(strings.Trim(text, " \t\r\n()\"'"))
	text = strings.TrimSpace(strings.TrimPrefix(text, "refusal "))
	text = strings.NewReplacer("o", "0", "i", "1", "l", "1", "-", "").Replace(text)
	if len(text) != refusalLength || strings.Trim(text, refusalLetters) != "" {
		return "", false
	}
	return text, true
}

// refuse puts down why a request was refused and hands the refusal on with its ID. The reason is for the operator alone: the
// caller hears the error. It asks nobody and waits for nothing, and what it costs depends on what was sent alone: a refusal
// must not tell by its time who is registered (CVE-2026-41263).
func (a *Authority) refuse(kind string, r *Request, err error) error {
	return a.putDown(kind, r, r.claimedClient(), r.facts(), err)
}

// putDown is refuse with what is said of who came and of what was presented.
func (a *Authority) putDown(kind string, r *Request, clientID string, facts []string, err error) error {
	event := audit.Event{
		Time: a.now(), Kind: kind, ClientID: strings.Clone(clientID), RequestID: r.ID, Remote: r.Remote, Reason: reasonOf(err),
		Refusal: newRefusalID(), Answer: r.clean(answerOf(err)), Presented: facts,
	}
	a.journal.Refuse(event)
	a.refusals.keep(event)
	return &Refusal{event.Refusal, err}
}

// answerOf returns what the caller hears.
func answerOf(err error) string {
	var refusal *oauth.Error
	var busy *Unavailable
	switch {
	case errors.As(err, &busy):
		return string(oauth.TemporarilyUnavailable)
	case errors.As(err, &refusal):
		return string(refusal.Code) + ": " + oauth.SafeText(refusal.Description)
	}
	return string(oauth.ServerError)
}

// maxRefused is how many of the latest refusals a node has in memory, in each of two halves.
const maxRefused = 4096

// lastRefusals are the latest refusals of this node, those that the journal has only counted among them. Callers who are refused
// because they came too often are kept apart, so that who hammers does not push out what explains why.
type lastRefusals struct {
	mu             sync.Mutex
	others, floods halves // under mu
}

// tooOften are the reasons that say no more than that.
var tooOften = []string{reasonTooMany, reasonOften, string(reasonTooManyRegistrations)}

// halves hold at least the latest maxRefused/2 events: when one half is full, the other is given up.
type halves struct{ recent, older map[string]audit.Event }

func newLastRefusals() *lastRefusals { return &lastRefusals{} }

func (r *lastRefusals) keep(event audit.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := &r.others
	if slices.Contains(tooOften, event.Reason) {
		kept = &r.floods
	}
	if kept.recent == nil || len(kept.recent) >= maxRefused/2 {
		kept.older, kept.recent = kept.recent, map[string]audit.Event{}
	}
	kept.recent[event.Refusal] = event
}

func (r *lastRefusals) find(id string) (audit.Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, some := range []map[string]audit.Event{r.others.recent, r.others.older, r.floods.recent, r.floods.older} {
		if event, found := some[id]; found {
			return event, true
		}
	}
	return audit.Event{}, false
}
