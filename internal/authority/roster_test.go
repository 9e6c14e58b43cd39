package authority

import (
	"fmt"
	"hash/maphash"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// fill sets every field within v to something that is not its zero value.
func fill(t testing.TB, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(-int64(*n) << 33)
	case reflect.Uint8:
		v.SetUint(uint64(*n))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.UnixMicro(start.UnixMicro() + int64(*n)).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("a record of a client has a %s: packer, and this test, must know it", v.Type())
	}
}

// machine is a client like a hundred thousand others.
func machine(i int) store.Client {
	id := fmt.Sprintf("machine-%07d", i)
	return store.Client{
		ID: id, Name: "the-" + id, AuthMethod: oauth.ClientSecretBasic, GrantTypes: []string{oauth.ClientCredentials},
		Secrets: []store.Secret{{ID: "first", Hash: store.HashSecret(id), Created: start.UTC()}},
		Grants:  []store.Grant{to("https://a.test", "read")}, Created: start.UTC(), Updated: start.UTC(),
	}
}

// someCatalog has a resource that knows a scope.
func someCatalog(generation int64) *catalog {
	return &catalog{generation: generation, resources: map[string]store.Resource{
		"https://a.test": {URI: "https://a.test", Scopes: scopes("read", "write"), Format: store.FormatJWT, Algorithm: "ES256"},
	}}
}

// decided is what decisions read of a client, to be compared: what its credentials are below follows from it.
func decided(shape store.Client, of own) (all struct {
	common store.Client
	own    own
}) {
	all.common, all.own = shape, of
	all.own.Secrets, all.own.room = slices.Clone(of.Secrets), [1]secret{}
	for i := range all.own.Secrets {
		if limit := all.own.Secrets[i].limit; limit != nil {
			less := *limit
			less.client = nil
			all.own.Secrets[i].limit = &less
		}
	}
	return all
}

// TestPack: a client is kept with everything of its record that decisions read, whatever that is.
func TestPack(t *testing.T) {
	var full store.Client
	n := 0
	fill(t, reflect.ValueOf(&full).Elem(), &n)
	long := machine(3)
	long.Keys = []store.ClientKey{{ID: "large", Certificate: make([]byte, 3*chunkSize)}}
	hashes := machine(4)
	for _, hash := range []string{
		"", "sha256:", "sha256:" + strings.Repeat("A", 43), "sha256:" + strings.Repeat("A", 42) + "B", "sha256:" + strings.Repeat("A", 42) + "\n",
		"sha256:" + strings.Repeat("+", 43), "$2a$10$" + strings.Repeat("x", 53), "sha256:" + strings.Repeat("_", 44),
	} {
		hashes.Secrets = append(hashes.Secrets, store.Secret{Hash: hash})
	}
	for name, record := range map[string]store.Client{
		"hashes": hashes, "everything": full, "nothing": {ID: "c"}, "a machine": machine(1), "a long one": long,
		"before 1970": {ID: "d", NotBefore: time.UnixMicro(-2).UTC(), Created: time.UnixMicro(-1).UTC(), Updated: time.UnixMicro(-1).UTC(), TokenTTL: -1, Name: string([]byte{0, 0xff, 0x80})},
	} {
		t.Run(name, func(t *testing.T) {
			shared, r := record, newRoster(DefaultClientMemory)
			shared.ID, shared.Name, shared.Secrets, shared.JWKSURI, shared.CertificateValue = "", "", nil, "", ""
			shared.NotBefore, shared.Created, shared.Updated = time.Time{}, time.Time{}, time.Time{}
			shared.Registration = store.Registration{FirstUse: record.Registration.FirstUse, Idle: record.Registration.Idle}
			shared.Keys = nil
			want := decided(shared, ownOf(&record))
			for i := range want.own.Keys {
				want.own.Keys[i].Created = time.Time{} // no decision reads it
			}
			for range 2 {
				kept := r.keep(record, someCatalog(1))
				if got := decided(r.recent.look(r.recent.find(uint32(maphash.String(r.seed, record.ID)), record.ID)).shape.record, kept.own); !reflect.DeepEqual(got, want) {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
				r.unready()
				if found := r.find(record.ID, someCatalog(1)); found == nil || !reflect.DeepEqual(decided(shared, found.own), want) || !reflect.DeepEqual(*found.common, commonOf(&record)) {
					t.Errorf("found %+v, want %+v", found, want)
				}
			}
		})
	}
}

func TestPackNumbers(t *testing.T) {
	for shift := range 64 {
		for _, n := range []int64{1 << shift, -1 << shift, 1<<shift - 1, 0x5a5a5a5a5a5a5a5a >> shift, 0x1c2b3a4958674f22 >> shift} {
			p := packer{}
			p.number(&n)
			var got int64
			back := packer{text: string(p.packed) + "rest", reads: true}
			if back.number(&got); got != n || back.text != "rest" {
				t.Errorf("%d: got %d, and %q behind it", n, got, back.text)
			}
		}
	}
}

// TestRosterKeeps: of each client the roster has what was read last, ready or not, with what is known besides.
func TestRosterKeeps(t *testing.T) {
	const all = 3 * maxReady
	r := newRoster(DefaultClientMemory)
	for i := range all {
		made := r.keep(machine(i), someCatalog(1))
		made.asked.Store(int64(i))
		made.confirmed.Store(int64(-i))
		made.noted.set(1<<40, int64(i+1), start)
	}
	for i := 1; i < all; i += 2 { // shorter, and longer than before
		changed := machine(i)
		changed.JWKSURI, changed.Suspended = fmt.Sprint(1<<(i%60)), true
		r.keep(changed, someCatalog(2))
	}
	r.forget(machine(4).ID)
	r.forget("nobody")
	r.older, r.recent = r.recent, newHalf(DefaultClientMemory)
	r.forget(machine(6).ID)
	r.unready()
	for i := range all {
		found := r.find(machine(i).ID, someCatalog(2))
		if i == 4 || i == 6 {
			if found != nil {
				t.Error("who was forgotten is there")
			}
			continue
		}
		if found == nil || found.ID != machine(i).ID || found.Suspended != (i%2 == 1) || found.generation != int64(1+i%2) {
			t.Fatalf("client %d: got %+v", i, found)
		}
		if found.asked.Load() != int64(i) || found.confirmed.Load() != int64(-i) || found.noted.find(1<<40) != int64(i+1) {
			t.Fatalf("client %d: what is known besides the record is lost", i)
		}
		if of := found.grants["https://a.test"]; of == nil || !of.scopes.Has("read") {
			t.Fatalf("client %d: granted %+v", i, found.grants)
		}
	}
	if found := r.find("nobody", someCatalog(2)); found != nil {
		t.Errorf("found %+v", found)
	}
	if back := r.keep(machine(4), someCatalog(2)); back.asked.Load() != 0 || r.find(back.ID, someCatalog(2)) != back {
		t.Error("who comes back is somebody else")
	}
	if r.forget(machine(4).ID); r.find(machine(4).ID, someCatalog(2)) != nil {
		t.Error("who was forgotten is still ready")
	}
}

// TestRosterMoves: who is asked for all the time, and so is ready, moves to the next half with the others.
func TestRosterMoves(t *testing.T) {
	r, at := newRoster(DefaultClientMemory), someCatalog(1)
	first, other := machine(1), machine(2)
	r.keep(first, at)
	r.recent.size = DefaultClientMemory
	r.keep(other, at)
	if r.find(first.ID, at) == nil || r.recent.find(uint32(maphash.String(r.seed, first.ID)), first.ID) == nil {
		t.Error("it did not")
	}
}

// TestRosterReady: who comes twice in a row stays ready, and who comes once does not.
func TestRosterReady(t *testing.T) {
	r, at := newRoster(DefaultClientMemory), someCatalog(1)
	one := machine(1)
	r.keep(one, at)
	r.unready()
	r.whose[maphash.String(r.seed, one.ID)%maxReady].Store(0) // somebody else's turn
	first := r.find(one.ID, at)
	second := r.find(one.ID, at)
	if first == second {
		t.Error("who came once stayed")
	}
	if r.find(one.ID, at) != second {
		t.Error("who came twice was made ready a third time")
	}
}

// TestRosterOfAnotherGeneration: what a client may have follows from the catalog of the moment at which it is made ready.
func TestRosterOfAnotherGeneration(t *testing.T) {
	r, gone := newRoster(DefaultClientMemory), &catalog{generation: 2}
	if kept := r.keep(machine(1), someCatalog(1)); len(kept.grants) != 1 {
		t.Fatalf("granted %v", kept.grants)
	}
	if kept := r.keep(machine(2), gone); len(kept.grants) != 0 {
		t.Errorf("granted %v of a resource that is gone", kept.grants)
	}
	r.unready()
	if found := r.find(machine(1).ID, gone); found.generation != 1 || len(found.grants) != 0 {
		t.Errorf("granted %v of a resource that is gone, at generation %d", found.grants, found.generation)
	}
}

// TestRosterMixesNoGenerations: a request that looked at the catalog before a change leaves nothing of it to those who come after.
func TestRosterMixesNoGenerations(t *testing.T) {
	r := newRoster(DefaultClientMemory)
	before, after := someCatalog(1), someCatalog(2)
	after.resources["https://a.test"] = store.Resource{URI: "https://a.test", Scopes: scopes("write"), Format: store.FormatJWT, Algorithm: "ES256"}
	r.keep(machine(1), before)
	r.keep(machine(1), after)     // somebody has read it since
	r.unready()                   // another client has its place
	r.find(machine(1).ID, before) // a request that began before
	r.find(machine(1).ID, before) // who comes once is not made ready
	got := r.find(machine(1).ID, after)
	if got.generation == after.generation && got.grants["https://a.test"].scopes.Has("read") {
		t.Errorf("at generation %d the client has %v, which it has not since then", got.generation, got.grants["https://a.test"].scopes)
	}
}

// TestRosterMeeting: two clients whose IDs have the same hash are two.
func TestRosterMeeting(t *testing.T) {
	h := newHalf(DefaultClientMemory)
	for _, id := range []string{"a", "b", "ab"} {
		h.put(h.add(7), id, "", nil)
	}
	for _, id := range []string{"a", "b", "ab"} {
		if place := h.find(7, id); place == nil || !h.isOf(place, id) {
			t.Errorf("%s: got %+v", id, place)
		}
	}
	for _, id := range []string{"", "c", "abc"} {
		if place := h.find(7, id); place != nil {
			t.Errorf("%q is found", id)
		}
	}
}

// TestRosterForgets: who has not been seen since as many others were as are kept is forgotten, and nobody else.
func TestRosterForgets(t *testing.T) {
	r := newRoster(16 << 20)
	at := someCatalog(1)
	var turned []int // after how many clients a half was full
	for i, recent := 0, r.recent; len(turned) < 2; i++ {
		if r.keep(machine(i), at); r.recent != recent {
			turned, recent = append(turned, i), r.recent
		}
		if i%maxReady == 0 && i > 7 && r.find(machine(7).ID, at) == nil {
			t.Fatalf("who asks all the time is forgotten after %d others", i)
		}
	}
	if r.find(machine(1).ID, at) != nil {
		t.Error("who was not seen for long is still there")
	}
	for i := turned[0]; i <= turned[1]; i += 97 {
		if r.find(machine(i).ID, at) == nil {
			t.Fatalf("client %d of %d is forgotten", i, turned[1])
		}
	}
	if turned[0] < 40_000 {
		t.Errorf("8 MB are full after %d clients", turned[0])
	}
}

// TestRosterIsBounded: records that change, that are long, and that have nothing in common take no more memory than others.
func TestRosterIsBounded(t *testing.T) {
	at := someCatalog(1)
	t.Run("the same few change", func(t *testing.T) {
		r := newRoster(DefaultClientMemory)
		for i := range 40_000 {
			one := machine(i % 10)
			one.Claims, one.JWKSURI = "", string(make([]byte, i%1000))
			r.keep(one, at)
		}
		if size := r.recent.size + r.older.size; size > 8*maxWasted {
			t.Errorf("10 clients take %d bytes", size)
		}
		for i := range 10 {
			if r.find(machine(i).ID, at) == nil {
				t.Errorf("client %d is forgotten", i)
			}
		}
	})
	t.Run("nothing in common", func(t *testing.T) {
		r := newRoster(DefaultClientMemory)
		for i := range 3 * maxShapes {
			one := machine(i)
			one.Claims = fmt.Sprintf(`{"tenant":%d}`, i)
			r.keep(one, at)
		}
		if shapes := len(r.recent.shapes); shapes > maxShapes {
			t.Errorf("%d shapes", shapes)
		}
		r.older, r.recent = r.recent, newHalf(DefaultClientMemory)
		r.unready()
		for i := range 3 * maxShapes {
			found := r.find(machine(i).ID, at)
			if found == nil || found.grants["https://a.test"].claims != fmt.Sprintf(`"tenant":%d`, i) {
				t.Fatalf("client %d: got %+v", i, found)
			}
		}
	})
	t.Run("long", func(t *testing.T) {
		const most = 32 << 20
		r := newRoster(2 * most)
		for i := range 3 * most >> 20 {
			one := machine(i)
			one.JWKSURI = string(make([]byte, 1<<20))
			r.keep(one, at)
			r.unready()
		}
		if size := r.recent.size + r.older.size; size > 2*most+4<<20 {
			t.Errorf("%d bytes", size)
		}
	})
}

// TestRosterIsSmall: a quarter of a million clients take forty megabytes, and the collector has next to nothing to look through.
func TestRosterIsSmall(t *testing.T) {
	r, at := newRoster(DefaultClientMemory), someCatalog(1)
	const many = 1 << 18
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range many {
		r.keep(machine(i), at)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (after.HeapAlloc - before.HeapAlloc) / many
	if t.Logf("%d bytes for each client", each); each > 300 {
		t.Error("they are more than 300")
	}
	if objects := after.HeapObjects - before.HeapObjects; after.HeapObjects > before.HeapObjects && objects > 8*maxReady {
		t.Errorf("%d objects", objects)
	}
	runtime.KeepAlive(r)
}

// TestRosterTakesWhatItMay: however many ask, and however much each has of its own, the heap grows by what was allowed.
func TestRosterTakesWhatItMay(t *testing.T) {
	const most = 24 << 20
	for name, long := range map[string]int{"short": 0, "long": 2000} {
		r, at := newRoster(most), someCatalog(1)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := 0; i < 1<<19 && i*(140+long) < 3*most; i++ {
			one := machine(i)
			one.JWKSURI = strings.Repeat("u", long)
			r.keep(one, at)
		}
		r.unready()
		runtime.GC()
		runtime.ReadMemStats(&after)
		grown := int(after.HeapAlloc - before.HeapAlloc)
		if t.Logf("%s: %d MB of %d", name, grown>>20, most>>20); grown > most+most/8 || grown < most/3 {
			t.Errorf("%s: the heap has grown by %d MB, and may by %d", name, grown>>20, most>>20)
		}
		runtime.KeepAlive(r)
	}
}

// TestRosterAtOnce: many read, keep and forget at once; whoever is found is found whole.
func TestRosterAtOnce(t *testing.T) {
	r := newRoster(DefaultClientMemory)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 2000 {
				one := machine((i*7 + worker) % 50)
				switch {
				case i%10 == 0:
					one.JWKSURI += string(make([]byte, i%300))
					r.keep(one, someCatalog(int64(i)))
				case i%251 == 0:
					r.forget(one.ID)
				default:
					if found := r.find(one.ID, someCatalog(1)); found != nil && (found.ID != one.ID || !slices.Equal(found.GrantTypes, one.GrantTypes) || found.Secrets[0].sum != secretOf(one.Secrets[0]).sum) {
						t.Errorf("got %+v", found)
					}
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkRoster finds clients that are ready, and such as must be made ready.
func BenchmarkRoster(b *testing.B) {
	for _, clients := range []int{10, 10_000, 1_000_000} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			r, at := newRoster(DefaultClientMemory), someCatalog(1)
			var ids []string
			for i := range clients {
				r.keep(machine(i), at)
				ids = append(ids, machine(i).ID)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i = (i + 7919) % clients
				if r.find(ids[i], at) == nil {
					b.Fatal("nobody")
				}
			}
		})
	}
}
