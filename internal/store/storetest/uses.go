package storetest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// use returns a use of a credential of the client c, so many microseconds after a moment. Its time has a zone and
// nanoseconds, which a store does not keep.
func use(credential string, after int, remote string) store.Use {
	at := time.Date(2026, 1, 2, 3, 4, 5, 999, time.FixedZone("somewhere", 3600)).Add(time.Duration(after) * time.Microsecond)
	return store.Use{ClientID: "c", Credential: credential, Last: at, Remote: remote, Agent: "agent of " + remote}
}

func mustHaveUses(t testing.TB, s store.Store, clientID string, want ...store.Use) {
	t.Helper()
	got, err := s.Uses(t.Context(), clientID)
	must(t, err)
	var kept []store.Use
	for _, u := range want {
		kept = append(kept, asKept(u))
	}
	if !reflect.DeepEqual(got, kept) {
		t.Errorf("Uses(%q):\n got %+v\nwant %+v", clientID, got, kept)
	}
}

// testUses: of each credential the latest use is kept, in whatever order two nodes tell of it.
func testUses(t *testing.T, s store.Store) {
	ctx := t.Context()
	mustHaveUses(t, s, "c")
	must(t, s.NoteUses(ctx, nil))
	must(t, s.NoteUses(ctx, []store.Use{use("b", 5, "192.0.2.1"), use("a", 1, ""), use("B", 1, "2001:db8::1"), use("é", 1, "x")}))
	must(t, s.NoteUses(ctx, []store.Use{{ClientID: "other", Credential: "b", Last: use("", 9, "").Last, Remote: "192.0.2.9"}}))
	mustHaveUses(t, s, "c", use("B", 1, "2001:db8::1"), use("a", 1, ""), use("b", 5, "192.0.2.1"), use("é", 1, "x")) // by bytes

	must(t, s.NoteUses(ctx, []store.Use{use("b", 4, "an earlier one"), use("a", 1, "the same moment"), use("a", 2, "later")}))
	must(t, s.NoteUses(ctx, []store.Use{use("a", 1, "the other node, late")}))
	mustHaveUses(t, s, "c", use("B", 1, "2001:db8::1"), use("a", 2, "later"), use("b", 5, "192.0.2.1"), use("é", 1, "x"))
	mustHaveUses(t, s, "other", store.Use{ClientID: "other", Credential: "b", Last: use("", 9, "").Last, Remote: "192.0.2.9"})
	both, err := s.Uses(ctx, "other", "c", "nobody", "c", "\x00", "")
	must(t, err)
	if len(both) != 5 || both[0].ClientID != "c" || both[3].Credential != "é" || both[4].ClientID != "other" {
		t.Errorf("Uses of two clients: got %+v, want those of c, and then those of the other, each once", both)
	}
	if none, err := s.Uses(ctx); err != nil || len(none) != 0 {
		t.Errorf("Uses of no clients: got %+v, %v, want none", none, err)
	}
	strange := store.Use{ClientID: "quoted", Credential: "\"\\u0000' \u2028\t%", Last: use("", 1, "").Last, Remote: "{\"last\":9}", Agent: "a\\\"b\n"}
	must(t, s.NoteUses(ctx, []store.Use{strange}))
	mustHaveUses(t, s, "quoted", strange)
	mustHaveUses(t, s, "C")
	mustHaveUses(t, s, "")
	mustHaveUses(t, s, "\x00")
}

// testUsesWrong: text that no database keeps is refused, and what was to be noted with it is not there either.
func testUsesWrong(t *testing.T, s store.Store) {
	for _, wrong := range []store.Use{
		{Credential: "a"},
		{ClientID: "c"},
		{ClientID: "c\x00", Credential: "a"},
		{ClientID: "c", Credential: "\xff"},
		{ClientID: "c", Credential: "a", Remote: "\x00"},
		{ClientID: "c", Credential: "a", Agent: "\x00"},
	} {
		mustBe(t, s.NoteUses(t.Context(), []store.Use{use("good", 1, ""), wrong}), store.ErrInvalid)
	}
	mustHaveUses(t, s, "c")
}

// testUsesInUpdate: uses are part of an Update, and readers of the generation are not woken by them.
func testUsesInUpdate(t *testing.T, s store.Store) {
	ctx := t.Context()
	must(t, s.NoteUses(ctx, []store.Use{use("a", 1, "")}))
	before, err := s.Generation(ctx)
	must(t, err)
	mustBe(t, s.Update(ctx, func(tx store.Store) error {
		must(t, tx.NoteUses(ctx, []store.Use{use("a", 2, ""), use("b", 1, "")}))
		mustHaveUses(t, tx, "c", use("a", 2, ""), use("b", 1, ""))
		mustHaveUses(t, s, "c", use("a", 1, ""))
		return errTest
	}), errTest)
	mustHaveUses(t, s, "c", use("a", 1, ""))
	must(t, s.NoteUses(ctx, []store.Use{use("a", 3, "")}))
	if now, err := s.Generation(ctx); err != nil || now != before {
		t.Errorf("generation after NoteUses: got %d, %v, want %d as before", now, err, before)
	}
}

// testUsesConcurrent: nodes that flush at once, the same credentials in opposite order, do not refuse each other.
func testUsesConcurrent(t *testing.T, s store.Store) {
	const nodes, credentials = 6, 20
	concurrently(t, nodes, func(node int) error {
		var uses []store.Use
		for i := range credentials {
			if node%2 == 1 {
				i = credentials - 1 - i
			}
			uses = append(uses, use(fmt.Sprintf("%02d", i), node, fmt.Sprint(node)))
		}
		return s.NoteUses(t.Context(), uses)
	})
	var want []store.Use
	for i := range credentials {
		want = append(want, use(fmt.Sprintf("%02d", i), nodes-1, fmt.Sprint(nodes-1)))
	}
	mustHaveUses(t, s, "c", want...)
}

// testSweepUses: what a client used is forgotten with the client, or when it is too old, and not before.
func testSweepUses(t *testing.T, s store.Store) {
	const gone = 600 // more than one step
	ctx := t.Context()
	must(t, s.Clients().Insert(ctx, store.Client{ID: "c", Name: "c"}))
	must(t, s.Clients().Insert(ctx, store.Client{ID: "d", Name: "d"}))
	uses := []store.Use{use("a", 1, ""), use("b", 2, ""), {ClientID: "d", Credential: "a", Last: time.Now()}}
	for i := range gone {
		uses = append(uses, store.Use{ClientID: fmt.Sprint("gone", i), Credential: "a"}, store.Use{ClientID: fmt.Sprint("gone", i), Credential: "b"})
	}
	must(t, s.NoteUses(ctx, uses))
	must(t, s.Clients().Delete(ctx, "d"))
	if swept, err := s.Sweep(ctx, use("", 0, "").Last); err != nil || swept != 0 {
		t.Errorf("Sweep: got %d, %v, want 0: uses are not counted", swept, err)
	}
	mustHaveUses(t, s, "c", use("a", 1, ""), use("b", 2, ""))
	if _, err := s.Sweep(ctx, asKept(use("a", 1, "")).Last.Add(store.KeepUses)); err != nil {
		t.Error(err)
	}
	mustHaveUses(t, s, "c", use("a", 1, ""), use("b", 2, ""))
	if _, err := s.Sweep(ctx, asKept(use("a", 2, "")).Last.Add(store.KeepUses)); err != nil {
		t.Error(err)
	}
	mustHaveUses(t, s, "c", use("b", 2, ""))
	for _, id := range []string{"d", "gone0", fmt.Sprint("gone", gone-1)} {
		mustHaveUses(t, s, id)
	}
}
