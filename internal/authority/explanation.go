package authority

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// An Explanation tells an operator why a request was refused. Callers must not see it. What was presented is what the caller
// wrote, never verified; what is registered is so now, which may be another thing than then.
type Explanation struct {
	ID         string
	Time       time.Time
	Endpoint   string // token, introspection, revocation or registration
	ClientID   string // whom the request named; "" if nobody
	Client     string // the client's name; "" if there is none now
	Remote     string
	RequestID  string
	Answer     string // what the caller heard
	Reason     string // the fixed word
	Rule       string // the same as a sentence
	Presented  map[string]string
	Registered map[string]string
	Remedy     string   // what would have worked
	Commands   []string // that mend it, each one in its way
	Counted    int64    // how many refusals stand in the journal's line for this one; 0: it has a line of its own, or none yet
}

// ErrNoRefusal is the error for an ID that this node knows no refusal of.
var ErrNoRefusal = errors.New("authority: no refusal has this ID")

// Explain returns why a request was refused by this node: one of the latest, which are in memory, or one in its journal.
// For an ID that it does not know, it returns ErrNoRefusal, with what the journal only counted.
func (a *Authority) Explain(ctx context.Context, id string) (*Explanation, []Counted, error) {
	event, remembered := a.refusals.find(id)
	found, err := a.journal.FindRefusal(ctx, id, event.Time)
	if err != nil && !remembered {
		return nil, nil, fmt.Errorf("authority: explain: %w", err)
	}
	err = nil // what is in memory can be told without the journal
	if !remembered && found.Event == nil {
		return nil, Count(found.Counted), ErrNoRefusal
	}
	if !remembered {
		event = *found.Event
	}
	var known *registered
	if event.ClientID != "" {
		known, err = a.registered(ctx, event.ClientID)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrInvalid) {
		return nil, nil, fmt.Errorf("authority: explain: %w", err)
	}
	e := a.explain(event, known)
	if found.Event == nil {
		e.Counted = standsFor(event, found.Counted)
	}
	return e, nil, nil
}

// standsFor returns how many refusals the line counts that a refusal without a line of its own went into.
func standsFor(event audit.Event, counted []audit.Event) int64 {
	for _, line := range counted {
		if line.Kind == event.Kind && line.Reason == event.Reason && !line.Time.Before(event.Time) {
			return line.Count
		}
	}
	return 0
}

// A Counted is how many refusals of a kind a journal has counted and not written one by one.
type Counted struct {
	Endpoint string
	Reason   string
	Count    int64
	Since    time.Time // when the first of these counts was written
	Until    time.Time // and the last
}

// Count adds up lines that each stand for refusals, the most frequent first.
func Count(lines []audit.Event) []Counted {
	sums := map[string]*Counted{}
	for _, line := range lines {
		sum := sums[line.Kind+" "+line.Reason]
		if sum == nil {
			sum = &Counted{Endpoint: endpointOf(line.Kind), Reason: line.Reason, Since: line.Time}
			sums[line.Kind+" "+line.Reason] = sum
		}
		sum.Count, sum.Until = sum.Count+line.Count, line.Time
	}
	var all []Counted
	for _, sum := range sums {
		all = append(all, *sum)
	}
	slices.SortFunc(all, func(x, y Counted) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Reason, y.Reason), cmp.Compare(x.Endpoint, y.Endpoint))
	})
	return all
}

func endpointOf(kind string) string {
	name, _, _ := strings.Cut(kind, ".")
	return name
}

// Reasons returns every word that a refusal can have for a reason.
func Reasons() []string { return slices.Sorted(maps.Keys(rules)) }

// ExplainEvent explains a refusal of a journal without what is registered.
func ExplainEvent(event audit.Event) *Explanation {
	means, known := rules[event.Reason]
	if !known {
		means = rule{text: event.Reason}
	}
	e := &Explanation{
		ID: event.Refusal, Time: event.Time, Endpoint: endpointOf(event.Kind), ClientID: event.ClientID, Remote: event.Remote,
		RequestID: event.RequestID, Answer: event.Answer, Reason: event.Reason, Rule: means.text, Remedy: means.remedy,
		Presented: map[string]string{}, Registered: map[string]string{},
	}
	for _, fact := range event.Presented {
		name, value, _ := strings.Cut(fact, ": ")
		e.Presented[name] = value
	}
	e.Commands = commandsFor(means, cmp.Or(event.ClientID, "NAME"))
	return e
}

// commandsFor returns the commands of a rule for a client. A name that a caller made up must not become a command of another
// meaning in the operator's shell: what could is left as it stood.
func commandsFor(means rule, name string) []string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") != "" || strings.HasPrefix(name, "-") {
		name = "NAME"
	}
	commands := []string{}
	for _, command := range means.commands {
		commands = append(commands, strings.ReplaceAll(command, "CLIENT", name))
	}
	return commands
}

// A registered client is all that the store says of one, and what decisions make of it.
type registered struct {
	store.Client
	decided *client
}

func (a *Authority) registered(ctx context.Context, id string) (*registered, error) {
	known, record, err := a.directory.readWhole(ctx, id)
	if err != nil {
		return nil, err
	}
	return &registered{record, known}, nil
}

// explain adds what is registered. known is nil for a client that there is not.
func (a *Authority) explain(event audit.Event, known *registered) *Explanation {
	e := ExplainEvent(event)
	if known == nil {
		if event.ClientID != "" && rules[event.Reason].about != aboutRequest {
			e.Registered["client"] = "there is none with this client_id now"
		}
		return e
	}
	e.Client = known.Name
	e.Commands = commandsFor(rules[event.Reason], known.Name)
	switch rules[event.Reason].about {
	case aboutCredentials:
		a.tellCredentials(e, known)
	case aboutBinding:
		e.Registered["tokens"] = bindingText(known)
	case aboutRights:
		tellRights(e, known)
	case aboutRegistration:
		tellRegistration(e, known)
	}
	switch event.Reason {
	case string(reasonWrongMethod):
		a.diagnoseMethod(e, known)
	case string(reasonNetwork):
		diagnoseNetwork(e, known)
	}
	return e
}

// tellCredentials tells of the method and of what the client proves itself with, none of which is a secret.
func (a *Authority) tellCredentials(e *Explanation, known *registered) {
	now := a.now()
	e.Registered["method"] = known.AuthMethod
	if known.FormerMethod != "" && now.Before(known.FormerUntil) {
		e.Registered["method"] += ", and until " + stamp(known.FormerUntil) + " " + known.FormerMethod
	}
	if known.Suspended {
		e.Registered["suspended"] = "yes"
	}
	var secrets, keys []string
	for _, secret := range known.Secrets {
		secrets = append(secrets, strings.TrimSpace(secret.ID+" "+secret.Name)+life(secret.NotBefore, secret.Expires, now)+limitText(secret.Limit))
	}
	for _, key := range known.Keys {
		keys = append(keys, key.ID+" "+key.Algorithm+life(key.NotBefore, key.Expires, now)+limitText(key.Limit))
	}
	tell := func(name, value string) {
		if value != "" {
			e.Registered[name] = value
		}
	}
	tell("secrets", strings.Join(secrets, "; "))
	tell("keys", strings.Join(keys, "; "))
	tell("key set", known.JWKSURI)
	tell("signing algorithm", known.SigningAlgorithm)
	if known.CertificateRule != "" {
		tell("certificate", known.CertificateRule+" "+known.CertificateValue)
	}
	tell("networks", strings.Join(known.Networks, " "))
	tell("issuer", a.issuer)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// life says when a credential counts, if that is not always.
func life(from, until, now time.Time) string {
	switch {
	case now.Before(from):
		return " (counts from " + stamp(from) + ")"
	case until.IsZero():
		return ""
	case !now.Before(until):
		return " (expired " + stamp(until) + ")"
	}
	return " (until " + stamp(until) + ")"
}

func (a *Authority) diagnoseMethod(e *Explanation, known *registered) {
	used := e.Presented["method"]
	switch {
	case !a.permits(known.AuthMethod):
		e.Remedy = "a method that the profile of this server allows: " + strings.Join(a.profile.AuthMethods, ", ")
	case used == oauth.ClientSecretPost && known.AuthMethod == oauth.ClientSecretBasic:
		e.Remedy = "the secret in the header Authorization instead of the body; or register client_secret_post"
		e.Commands = []string{"writ client update " + known.Name + " --auth-method client_secret_post"}
	case used == oauth.ClientSecretBasic && known.AuthMethod == oauth.ClientSecretPost:
		e.Remedy = "the secret in the body instead of the header Authorization; or register client_secret_basic"
		e.Commands = []string{"writ client update " + known.Name + " --auth-method client_secret_basic"}
	}
}

// tellRegistration tells how the client came to be.
func tellRegistration(e *Explanation, known *registered) {
	e.Registered["registered by"] = "an operator"
	if from := known.Registration; from.InitialToken != "" {
		e.Registered["registered by"] = "itself, with the initial access token " + from.InitialToken
	}
	if known.Suspended {
		e.Registered["suspended"] = "yes"
	}
}

func bindingText(known *registered) string {
	switch {
	case known.DPoPBound && known.CertificateBound:
		return "bound to a DPoP key and to the certificate"
	case known.DPoPBound:
		return "bound to a DPoP key"
	case known.CertificateBound:
		return "bound to the certificate"
	}
	return "bound to nothing"
}
