package authority

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/writ-auth/writ/internal/store"
)

// maxReady is how many clients are kept ready to be decided about.
const maxReady = 1 << 11

// A roster is the clients seen lately: those seen last are ready; all for whom there is memory are kept as some 150 bytes each,
// in which there is nothing for the collector to look through. To make one ready takes half a microsecond, and a whole one where
// they are so many that no cache of the processor has them. It is safe for concurrent use.
type roster struct {
	seed  maphash.Seed // nobody can choose IDs that meet
	ready [maxReady]atomic.Pointer[client]
	whose [maxReady]atomic.Uint64 // hashes of those who were asked for last: it is not worth looking for others

	mu            sync.Mutex
	recent, older *half // under mu, and so is all in them but what is atomic
}

// newRoster returns one whose clients take so many bytes at most.
func newRoster(most int) *roster {
	return &roster{seed: maphash.MakeSeed(), recent: newHalf(most / 2), older: newHalf(most / 2)}
}

// find returns a client as it was when it was read last, or nil. What it may have follows from the catalog, if it was not ready.
func (r *roster) find(id string, at *catalog) *client {
	hash := maphash.String(r.seed, id)
	ready, whose := &r.ready[hash%maxReady], &r.whose[hash%maxReady]
	known := ready.Load()
	if whose.Load() == hash && known != nil && known.ID == id {
		return known
	}
	r.mu.Lock()
	found, seen := r.seek(uint32(hash), id)
	r.mu.Unlock()
	if !found {
		return nil
	}
	made := seen.client(at)
	// Who comes once among very many is not made to stay, or the collector would have to look through those who take turns.
	if whose.Swap(hash) == hash {
		ready.CompareAndSwap(known, made) // who was faster may have a newer one
	}
	return made
}

// keep keeps what decisions need of a client that was just read, with what was known of it besides its record. The record may go.
func (r *roster) keep(record store.Client, at *catalog) *client {
	var common, own packer
	common.common(&record)
	itself := ownOf(&record)
	own.own(&itself)
	hash := maphash.String(r.seed, record.ID)
	r.mu.Lock()
	place := r.place(uint32(hash), record.ID)
	r.recent.put(place, record.ID, string(common.packed), own.packed)
	place.generation = at.generation
	seen := r.recent.look(place)
	r.mu.Unlock()
	made := seen.client(at)
	r.ready[hash%maxReady].Store(made)
	r.whose[hash%maxReady].Store(hash)
	return made
}

// forget forgets a client.
func (r *roster) forget(id string) {
	hash := maphash.String(r.seed, id)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range []*half{r.recent, r.older} {
		if place := h.find(uint32(hash), id); place != nil {
			h.drop(place)
		}
	}
	if known := r.ready[hash%maxReady].Load(); known != nil && known.ID == id {
		r.ready[hash%maxReady].Store(nil)
	}
}

// seek looks for a client, and brings it from the older half to the recent one.
func (r *roster) seek(hash uint32, id string) (found bool, _ seen) {
	if place := r.recent.find(hash, id); place != nil {
		return true, r.recent.look(place)
	}
	before := r.older.find(hash, id)
	if before == nil {
		return false, seen{}
	}
	known := r.older.look(before)
	r.makeRoom()
	place := r.recent.add(hash)
	place.take(before)
	r.recent.put(place, id, known.shape.packed, []byte(known.own))
	return true, r.recent.look(place)
}

// place returns the place of a client in the recent half, a new one if need be.
func (r *roster) place(hash uint32, id string) *place {
	r.makeRoom()
	if found, seen := r.seek(hash, id); found {
		return seen.place
	}
	return r.recent.add(hash)
}

// makeRoom begins another half when the recent one is full. Those who are ready come into it when they are next seen.
func (r *roster) makeRoom() {
	if !r.recent.full() {
		return
	}
	r.older, r.recent = r.recent, newHalf(r.recent.most)
	r.unready()
}

func (r *roster) unready() {
	for i := range r.ready {
		r.ready[i].Store(nil)
	}
}
