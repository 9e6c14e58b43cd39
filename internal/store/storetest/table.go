package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// testTable runs the named tests on the table of one kind of record. setKey gives a record its key, and unique values
// that go with the key.
func testTable[T store.Record](t *testing.T, open func(*testing.T) store.Store, tests []string,
	table func(store.Store) store.Table[T], setKey func(*T, string)) {
	record := func(key string, seed int) T {
		var r T
		if seed != none {
			fill(reflect.ValueOf(&r).Elem(), seed)
		}
		setKey(&r, key)
		return r
	}
	all := map[string]func(*testing.T, store.Store, store.Table[T], func(string, int) T){
		"Get":        testGet[T],
		"Put":        testPut[T],
		"Delete":     testDelete[T],
		"List":       testList[T],
		"Copies":     testCopies[T],
		"WrongText":  testWrongText[T],
		"Empty":      testEmpty[T],
		"Generation": testTableGeneration[T],
	}
	for _, name := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			all[name](t, s, table(s), record)
		})
	}
}

// none is the seed of a record with nothing but its key.
const none = -1

func testEmpty[T store.Record](t *testing.T, _ store.Store, table store.Table[T], record func(string, int) T) {
	must(t, table.Insert(t.Context(), record("a", none)))
	mustGet(t, table, record("a", none))
	must(t, table.Put(t.Context(), record("a", 1)))
	must(t, table.Put(t.Context(), record("a", none)))
	mustGet(t, table, record("a", none))
}

func testGet[T store.Record](t *testing.T, _ store.Store, table store.Table[T], record func(string, int) T) {
	ctx := t.Context()
	_, err := table.Get(ctx, "a")
	mustBe(t, err, store.ErrNotFound)
	must(t, table.Insert(ctx, record("a", 1)))
	mustGet(t, table, record("a", 1))
	mustBe(t, table.Insert(ctx, record("a", 2)), store.ErrExists)
	mustGet(t, table, record("a", 1))
	_, err = table.Get(ctx, "A")
	mustBe(t, err, store.ErrNotFound)
}

func testPut[T store.Record](t *testing.T, _ store.Store, table store.Table[T], record func(string, int) T) {
	ctx := t.Context()
	mustBe(t, table.Put(ctx, record("a", 1)), store.ErrNotFound)
	must(t, table.Insert(ctx, record("a", 1)))
	must(t, table.Insert(ctx, record("b", 2)))
	must(t, table.Put(ctx, record("a", 3)))
	mustGet(t, table, record("a", 3))
	mustGet(t, table, record("b", 2))
	must(t, table.Put(ctx, record("a", 3))) // no difference, no error
}

func testDelete[T store.Record](t *testing.T, _ store.Store, table store.Table[T], record func(string, int) T) {
	ctx := t.Context()
	mustBe(t, table.Delete(ctx, "a"), store.ErrNotFound)
	must(t, table.Insert(ctx, record("a", 1)))
	must(t, table.Insert(ctx, record("b", 2)))
	must(t, table.Delete(ctx, "a"))
	mustBe(t, table.Delete(ctx, "a"), store.ErrNotFound)
	_, err := table.Get(ctx, "a")
	mustBe(t, err, store.ErrNotFound)
	mustGet(t, table, record("b", 2))
	must(t, table.Insert(ctx, record("a", 3)))
	mustGet(t, table, record("a", 3))
}

// testList uses keys that a natural-language collation orders differently from bytes.
func testList[T store.Record](t *testing.T, _ store.Store, table store.Table[T], record func(string, int) T) {
	ctx := t.Context()
	inBytes := []string{"-x", "1", "10", "2", "B", "Z1", "_c", "a", "a b", "a-b", "ab", "https://x/é", "z", "~", "é"}
	for i, key := range slices.Backward(inBytes) {
		must(t, table.Insert(ctx, record(key, i)))
	}
	for _, test := range []struct {
		after string
		limit int
		want  []string
	}{
		{"", 100, inBytes},
		{"", len(inBytes), inBytes},
		{"", 3, inBytes[:3]},
		{"", 0, nil},
		{"", -1, nil},
		{"2", 2, []string{"B", "Z1"}},
		{"A", 1, []string{"B"}}, // the cursor need not exist any more
		{"é", 10, nil},
	} {
		records, err := table.List(ctx, test.after, test.limit)
		must(t, err)
		if got := keysOf(records); !slices.Equal(got, test.want) {
			t.Errorf("List(%q, %d): got %q, want %q", test.after, test.limit, got, test.want)
		}
	}
	var paged []string
	for after := ""; ; {
		page, err := table.List(ctx, after, 2)
		must(t, err)
		if len(page) == 0 {
			break
		}
		paged = append(paged, keysOf(page)...)
		after = page[len(page)-1].Key()
	}
	if !slices.Equal(paged, inBytes) {
		t.Errorf("paging: got %q, want %q", paged, inBytes)
	}
	records, err := table.List(ctx, "2", 1)
	must(t, err)
	if want := asKept(record("B", 4)); !reflect.DeepEqual(records[0], want) {
		t.Errorf("List: got %+v, want %+v", records[0], want)
	}
}

// testCopies scribbles over everything that went in or came out.
func testCopies[T store.Record](t *testing.T, _ store.Store, table store.Table[T], record func(string, int) T) {
	ctx := t.Context()
	in := record("a", 1)
	must(t, table.Insert(ctx, in))
	scribble(in)
	mustGet(t, table, record("a", 1))

	in = record("a", 2)
	must(t, table.Put(ctx, in))
	scribble(in)
	mustGet(t, table, record("a", 2))

	got, err := table.Get(ctx, "a")
	must(t, err)
	scribble(got)
	mustGet(t, table, record("a", 2))

	list, err := table.List(ctx, "", 1)
	must(t, err)
	scribble(list[0])
	mustGet(t, table, record("a", 2))
}

func testWrongText[T store.Record](t *testing.T, _ store.Store, table store.Table[T], record func(string, int) T) {
	ctx := t.Context()
	must(t, table.Insert(ctx, record("a", 1)))
	mustBe(t, table.Insert(ctx, record("", 1)), store.ErrInvalid)
	for _, wrong := range []string{"\x00", "a\x00", "\xff", "a\xed\xa0\x80"} {
		mustBe(t, table.Insert(ctx, record(wrong, 1)), store.ErrInvalid)
		mustBe(t, table.Put(ctx, record(wrong, 1)), store.ErrInvalid)
		_, err := table.Get(ctx, wrong)
		mustBe(t, err, store.ErrNotFound)
		mustBe(t, table.Delete(ctx, wrong), store.ErrNotFound)
		_, err = table.List(ctx, wrong, 1)
		mustBe(t, err, store.ErrInvalid)

		spoiled := record("b", 1)
		if spoil(reflect.ValueOf(&spoiled).Elem(), wrong) {
			mustBe(t, table.Insert(ctx, spoiled), store.ErrInvalid)
		}
	}
	// Text that looks like SQL is text.
	for _, odd := range []string{"'; DROP TABLE clients; --", `"`, `\`, "%", "$1", "?", "\u2028", "🂡"} {
		must(t, table.Insert(ctx, record(odd, 7)))
		mustGet(t, table, record(odd, 7))
		must(t, table.Delete(ctx, odd))
	}
	mustGet(t, table, record("a", 1))
}

func testTableGeneration[T store.Record](t *testing.T, s store.Store, table store.Table[T],
	record func(string, int) T) {
	ctx := t.Context()
	counted := true // but for what readers of the generation look up, or keep no copy of
	switch any(record("a", none)).(type) {
	case store.Revocation, store.Checkpoint, store.InitialToken:
		counted = false
	}
	last, err := s.Generation(ctx)
	must(t, err)
	step := func(what string, grows bool) {
		t.Helper()
		now, err := s.Generation(ctx)
		must(t, err)
		if grew := now > last; grew != grows || now < last {
			t.Errorf("generation after %s: got %d after %d, want it to grow: %t", what, now, last, grows)
		}
		last = now
	}
	must(t, table.Insert(ctx, record("a", 1)))
	step("Insert", counted)
	must(t, table.Put(ctx, record("a", 2)))
	step("Put", counted)
	_, err = table.Get(ctx, "a")
	must(t, err)
	_, err = table.List(ctx, "", 1)
	must(t, err)
	step("reading", false)
	must(t, table.Delete(ctx, "a"))
	step("Delete", counted)
	must(t, s.Update(ctx, func(tx store.Store) error { return tx.Append(ctx, store.Event{Action: "none"}) }))
	step("an Update that changes no record", false)
}

func mustGet[T store.Record](t testing.TB, table store.Table[T], record T) {
	t.Helper()
	got, err := table.Get(t.Context(), record.Key())
	must(t, err)
	if want := asKept(record); !reflect.DeepEqual(got, want) {
		t.Fatalf("Get(%q):\n got %+v\nwant %+v", record.Key(), got, want)
	}
}

func keysOf[T store.Record](records []T) (keys []string) {
	for _, r := range records {
		keys = append(keys, r.Key())
	}
	return keys
}

// fill sets every field to something that is not zero and depends on the seed, so that a field that a store forgets is
// found the day it is added. Times have nanoseconds and a zone, which a store does not keep.
func fill(v reflect.Value, seed int) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		zone := time.FixedZone("somewhere", 3600)
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, seed, 123_456_789, zone)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d \"'é\n", seed))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(int64(time.Duration(seed+1) * time.Microsecond))
	case reflect.Uint8:
		v.SetUint(uint64(seed + 0xf0))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), seed)
		fill(v.Index(1), seed+1)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), seed+i)
		}
	default:
		panic("storetest: fill does not know " + v.Type().String())
	}
}

// asKept returns a filled record as a store gives it back.
func asKept[T any](record T) T {
	v := reflect.ValueOf(&record).Elem()
	v.Set(truncated(v))
	return record
}

func truncated(v reflect.Value) reflect.Value {
	if t, ok := v.Interface().(time.Time); ok {
		return reflect.ValueOf(t.UTC().Truncate(time.Microsecond))
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			c.Field(i).Set(truncated(v.Field(i)))
		}
	case reflect.Slice:
		if !v.IsNil() {
			c.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		}
		for i := range v.Len() {
			c.Index(i).Set(truncated(v.Index(i)))
		}
	}
	return c
}

// scribble overwrites what the record's slices point to.
func scribble(record any) { scribbleOver(reflect.ValueOf(record)) }

func scribbleOver(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type() != reflect.TypeFor[time.Time]() {
				scribbleOver(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			scribbleOver(v.Index(i))
			v.Index(i).SetZero()
		}
	}
}

// spoil puts the text into the deepest text of the record's last list, if it has one with text.
func spoil(v reflect.Value, text string) bool {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x" + text)
		return true
	case reflect.Slice:
		return v.Len() > 0 && spoil(v.Index(v.Len()-1), text)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(v.NumField() - 1 - i); f.Kind() == reflect.Slice && spoil(f, text) {
				return true
			}
		}
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.String && spoil(f, text) {
				return true
			}
		}
	}
	return false
}
