package server

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// States of a Diagnosis.
const (
	DiagnosisOK      = "ok"
	DiagnosisWarning = "warning" // works, and will not for ever
	DiagnosisFailed  = "failed"
	DiagnosisSkipped = "skipped" // could not be looked at, because of another one
)

// A Diagnosis is one thing that was looked at.
type Diagnosis struct {
	Check  string `json:"check"`
	State  string `json:"state"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"` // the command that mends it, or what to do
}

// Healthy reports whether there is nothing to mend.
func (d Diagnosis) Healthy() bool { return d.State == DiagnosisOK || d.State == DiagnosisSkipped }

// A doctor looks at a server and changes nothing.
type doctor struct {
	config Config
	now    time.Time
	issuer string
	admin  string // base URL of the admin listener; "" if it is not known
	found  []Diagnosis
}

// Diagnose looks at everything that a configuration names, and at the server that runs with it, if one does. It changes
// nothing and works beside it.
func Diagnose(ctx context.Context, config Config) []Diagnosis {
	d := &doctor{config: config, now: time.Now(), issuer: config.Issuer, admin: config.Admin.URL}
	d.locate()
	d.dataDirectory()
	d.rootKey()
	d.journal()
	d.certificates()
	d.clientAuthorities()
	d.database(ctx)
	d.reach(ctx)
	return d.found
}

// DiagnoseIssuer looks at a server from outside, as its clients see it.
func DiagnoseIssuer(ctx context.Context, issuer string) []Diagnosis {
	d := &doctor{now: time.Now(), issuer: issuer}
	d.reach(ctx)
	return d.found
}

// locate finds the server that has no issuer in its configuration, by what its last start has left.
func (d *doctor) locate() {
	data, err := os.ReadFile(filepath.Join(d.config.Data, "operator.json"))
	var kept Credential
	if err != nil || json.Unmarshal(data, &kept) != nil {
		return
	}
	if d.issuer == "" {
		d.issuer = kept.Issuer
	}
	if d.admin == "" {
		d.admin = kept.Admin
	}
}

func (d *doctor) add(check, state, text, remedy string) {
	d.found = append(d.found, Diagnosis{check, state, text, remedy})
}

func (d *doctor) ok(check, text string) { d.add(check, DiagnosisOK, text, "") }

func (d *doctor) skip(check, why string) { d.add(check, DiagnosisSkipped, why, "") }

// expiry tells of an end that comes: in 30, 7 and 1 days. It reports whether there was something to tell.
func (d *doctor) expiry(check, what string, until time.Time, remedy string) bool {
	state, left := DiagnosisWarning, until.Sub(d.now)
	switch {
	case until.IsZero():
		return false
	case left <= 0:
		d.add(check, DiagnosisFailed, what+" has expired on "+until.UTC().Format(time.DateOnly), remedy)
		return true
	case left > 30*24*time.Hour:
		return false
	case left <= 24*time.Hour:
		state = DiagnosisFailed
	}
	d.add(check, state, fmt.Sprintf("%s expires %s, on %s", what, within(left), until.UTC().Format(time.DateTime+" MST")), remedy)
	return true
}

// within says how soon, by the step that has begun.
func within(left time.Duration) string {
	for _, days := range []int{1, 7} {
		if left <= time.Duration(days)*24*time.Hour {
			return map[int]string{1: "within a day", 7: "within 7 days"}[days]
		}
	}
	return "within 30 days"
}
