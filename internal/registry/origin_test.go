package registry

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// TestOriginOfChanges: the event of a change says from where it was made, whichever way it was written, beside what was changed.
func TestOriginOfChanges(t *testing.T) {
	b := withOrders(t)
	actor := b.operator("ann", ClientsWrite, ResourcesWrite, RolesWrite)
	actor.Remote, actor.RequestID = "2001:db8::7", "req-1"
	_, created := b.CreateClient(t.Context(), actor, oauth.ClientMetadata{ClientName: "worker"})
	_, suspended := b.SuspendClient(t.Context(), actor, "worker") // an event without a detail
	_, applied := b.ApplyDeclared(t.Context(), actor, Declaration{State: DeclaredState{Roles: []RoleSettings{{Name: "new"}}}})
	_, imported := b.Import(t.Context(), actor, brought())
	for _, err := range []error{created, suspended, applied, imported} {
		if err != nil {
			t.Fatal(err)
		}
	}
	told := 0
	for _, event := range b.events() {
		if event.Actor != actor.ID {
			if remote, id := OriginOf(event); remote+id != "" {
				t.Errorf("nobody asked for %+v", event)
			}
			continue
		}
		told++
		if remote, id := OriginOf(event); remote != actor.Remote || id != actor.RequestID || !json.Valid([]byte(event.Detail)) {
			t.Errorf("%s came from %q, %q: %s", event.Action, remote, id, event.Detail)
		}
	}
	if told != 7 {
		t.Errorf("%d events of the operator's, want 7", told)
	}
	var detail struct {
		ClientName string `json:"client_name"`
	}
	event := actor.did(store.Event{Detail: `{"client_name":"worker"}`}, time.Time{})
	if err := json.Unmarshal([]byte(event.Detail), &detail); err != nil || detail.ClientName != "worker" {
		t.Errorf("%v: what was changed is gone: %s", err, event.Detail)
	}
	for given, want := range map[string]string{"": "", "{}": "{}", `{"a":1}`: `{"a":1}`} {
		if got := System("x").did(store.Event{Detail: given}, time.Time{}).Detail; got != want {
			t.Errorf("%q became %q", given, got)
		}
	}
}
