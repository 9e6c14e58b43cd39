package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/oauth"
)

func (d *doctor) database(ctx context.Context) {
	const check = "database"
	options, err := d.config.storeOptions()
	if err != nil {
		d.add(check, DiagnosisFailed, err.Error(), "writ config check")
		return
	}
	began := time.Now()
	records, err := sqlstore.OpenReadOnly(ctx, options)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.add(check, DiagnosisFailed, "it is not there", "the first start makes it: writ serve")
		return
	case errors.Is(err, sqlstore.ErrSchema):
		d.add(check, DiagnosisFailed, err.Error(), "writ migrate")
		return
	case err != nil:
		d.add(check, DiagnosisFailed, err.Error(), "is it running, and is it the one that is configured? writ config check")
		return
	}
	defer func() { _ = records.Close() }() // only read
	d.ok(check, fmt.Sprintf("answers (%d ms), no migration is pending", time.Since(began).Milliseconds()))
	d.signingKeys(ctx, records)
	d.credentials(ctx, records)
	d.profile(ctx, records)
}

// signingKeys looks whether every algorithm has a key that signs now, and when the next one takes over.
func (d *doctor) signingKeys(ctx context.Context, records store.Store) {
	const check = "signing keys"
	last := map[string]store.SigningKey{}
	err := each(ctx, records.Keys(), func(key store.SigningKey) {
		if key.Revoked.IsZero() && key.SignUntil.After(last[key.Algorithm].SignUntil) {
			last[key.Algorithm] = key
		}
	})
	if err != nil {
		d.add(check, DiagnosisFailed, err.Error(), "")
		return
	}
	for _, key := range last {
		if d.now.After(key.SignUntil) {
			d.add(check, DiagnosisFailed, "the last "+key.Algorithm+" key signed until "+key.SignUntil.UTC().Format(time.DateTime)+": the server does not run, or cannot write",
				"writ serve, and then: writ key list")
			return
		}
	}
	if len(last) == 0 {
		d.add(check, DiagnosisFailed, "there are none", "the first start makes them: writ serve")
		return
	}
	var next []string
	for algorithm, key := range last {
		if algorithm != keyring.Sealing {
			next = append(next, algorithm+" until "+key.SignUntil.UTC().Format(time.DateOnly))
		}
	}
	slices.Sort(next)
	d.ok(check, strings.Join(next, ", ")+"; they rotate by themselves")
}

// maxTold bounds what is told of one kind: the rest is counted.
const maxTold = 20

// credentials looks for secrets and keys that end, and for clients that have none which counts.
func (d *doctor) credentials(ctx context.Context, records store.Store) {
	const check = "credentials"
	before, clients := len(d.found), 0
	err := each(ctx, records.Clients(), func(client store.Client) {
		clients++
		d.withoutCredential(client)
	})
	if err == nil {
		now := func() time.Time { return d.now }
		err = registry.New(registry.Options{Store: records, Now: now}).Expiring(ctx, store.EachDue, 30*day, d.expiring)
	}
	if err != nil {
		d.add(check, DiagnosisFailed, err.Error(), "")
		return
	}
	told := d.found[before:]
	slices.SortStableFunc(told, func(x, y Diagnosis) int { return cmp.Compare(x.State, y.State) }) // failed before warning
	if more := len(told) - maxTold; more > 0 {
		d.found = d.found[:before+maxTold]
		d.add(check, DiagnosisWarning, fmt.Sprintf("and %d more", more), "writ client list")
	}
	if len(told) == 0 {
		d.ok(check, fmt.Sprintf("of %d clients none expires within 30 days", clients))
	}
}

// expiring tells of a credential that ends. One that a rotation has given its end is no finding while nobody uses it: that is how a
// rotation goes. One beside another warns, as only those who have it are stopped.
func (d *doctor) expiring(e registry.Expiry) {
	if !e.Rotated.IsZero() && !e.LastUsed.After(e.Rotated) {
		return
	}
	what, remedy := "the last credential of the client "+e.ClientName, "writ client secret rotate "+e.ClientName
	if e.Kind == "key" {
		remedy = "writ client key add " + e.ClientName + " --public-key FILE"
	}
	if e.Last {
		d.expiry("credentials", what, e.Expires, remedy)
		return
	}
	what = "the " + e.Kind + " " + e.ID
	if e.Name != "" {
		what += " (" + e.Name + ")"
	}
	what += " of the client " + e.ClientName + ", which has others, "
	if e.LastUsed.IsZero() {
		what += "never used,"
	} else {
		what += "last used " + e.LastUsed.UTC().Format(time.DateTime+" MST") + " from " + e.LastUsedFrom + ","
	}
	if d.expiry("credentials", what, e.Expires, remedy) {
		d.found[len(d.found)-1].State = DiagnosisWarning
	}
}

// withoutCredential tells of a client that has nothing to authenticate with.
func (d *doctor) withoutCredential(client store.Client) {
	kind, remedy := "secret", "writ client secret add "+client.Name
	var ends []time.Time
	switch {
	case client.Suspended, client.FormerMethod != "": // a change of the method is under way
		return
	case client.AuthMethod == oauth.ClientSecretBasic || client.AuthMethod == oauth.ClientSecretPost:
		for _, secret := range client.Secrets {
			ends = append(ends, secret.Expires)
		}
	case client.JWKSURI == "" && client.CertificateRule == "":
		kind, remedy = "key", "writ client key add "+client.Name+" --public-key FILE"
		for _, key := range client.Keys {
			ends = append(ends, key.Expires)
		}
	default:
		return
	}
	counts := func(end time.Time) bool { return end.IsZero() || end.After(d.now) }
	switch {
	case len(ends) == 0:
		d.add("credentials", DiagnosisWarning, "the client "+client.Name+" has no "+kind+": it can get no token", remedy)
	case !slices.ContainsFunc(ends, counts):
		d.expiry("credentials", "the last credential of the client "+client.Name, slices.MaxFunc(ends, time.Time.Compare), remedy)
	}
}

func (d *doctor) profile(ctx context.Context, records store.Store) {
	if !d.config.fapi2() {
		return
	}
	found, err := d.config.findings(ctx, records, d.now)
	if err != nil {
		d.add("profile", DiagnosisFailed, err.Error(), "writ config check")
		return
	}
	for _, f := range found[:min(len(found), maxTold)] {
		d.add("profile", DiagnosisFailed, f.Kind+" "+f.Name+": "+f.Text, f.Remedy)
	}
	if more := len(found) - maxTold; more > 0 {
		d.add("profile", DiagnosisFailed, fmt.Sprintf("and %d more", more), "writ config check")
	}
	if len(found) == 0 {
		d.ok("profile", "every client and resource passes "+d.config.Profile)
	}
}
