package authority

import (
	"encoding/binary"
	"sync/atomic"
)

// DefaultClientMemory is how much the clients may take that asked lately, in bytes: some 150 MB for each million of them, and as much
// for those of before.
const DefaultClientMemory = 384 << 20

// placeSize is what a client takes beside its record: its place, and its part of the index.
const placeSize = 72

// The bounds of a half, beside its memory.
const (
	maxShapes = 1 << 10 // further clients have theirs with them
	maxWasted = 1 << 20 // bytes of records from before, and then as many as there are of others

	chunkSize  = 64 << 10 // of records
	chunkCount = 1 << 10  // of places
	segments   = 1 << 8   // of the index: what grows at once is small, or everyone would wait for it
	tagBits    = 10       // of the hash, with each number in the index
	maxPlaces  = 1<<(32-tagBits) - 1
)

// A half of the roster grows until it is full; then a new one begins, and it goes when that is full, too. Who is seen meanwhile
// moves over.
type half struct {
	most   int               // bytes
	index  [segments]segment // by the first bits of the hash
	places [][]place         // each chunkCount long, but the last
	count  int               // of places

	chunks       [][]byte // of records
	size, wasted int      // bytes of them, and of records from before

	shapes []*shape
	known  map[string]uint16 // numbers of shapes, from 1, as they are packed
}

// A segment of the index has entries by the last bits of the hash; none is free. At least half of them are.
type segment struct {
	entries []entry
	count   int
}

// An entry is the number of a place, from 1, and bits of the hash that say of nearly all others that it is not theirs: to look at
// a place is to wait for memory that no cache has.
type entry uint32

func entryOf(hash, number uint32) entry { return entry(number<<tagBits | tagOfHash(hash)) }

// tagOfHash returns bits that neither the segment nor the slot is chosen by, where a segment is no larger than it has to be.
func tagOfHash(hash uint32) uint32 { return hash >> 14 & (1<<tagBits - 1) }

func (e entry) number() uint32         { return uint32(e) >> tagBits }
func (e entry) mayBe(hash uint32) bool { return uint32(e)&(1<<tagBits-1) == tagOfHash(hash) }

// A place is what is known of one client. It never moves within its half: who has the client refers to what is atomic in it.
type place struct {
	kept
	generation  int64  // that the record is of
	hash        uint32 // of the ID
	length      uint32 // of the record; 0: the client is gone
	chunk, from uint16 // where the record is
	shape       uint16 // 0: it stands with the record
}

// kept is what is known of a client besides its record. It outlives what was made ready, and all who have the client share it.
type kept struct {
	confirmed atomic.Int64 // when the store was last known to say the same: nanoseconds after the directory began
	asked     atomic.Int64 // when the client will have worked off its requests
	noted     marks
}

// take copies what is known besides the record.
func (p *place) take(before *place) {
	p.generation = before.generation
	p.confirmed.Store(before.confirmed.Load())
	p.asked.Store(before.asked.Load())
	for i := range p.noted {
		p.noted[i].Store(before.noted[i].Load())
	}
}

func newHalf(most int) *half { return &half{most: most, known: map[string]uint16{}} }

func (h *half) full() bool {
	return h.count == maxPlaces || h.size+placeSize*h.count >= h.most || h.wasted > maxWasted && h.wasted > h.size/2
}

func (h *half) at(number uint32) *place { return &h.places[number/chunkCount][number%chunkCount] }

// find returns the place of a client, nil without.
func (h *half) find(hash uint32, id string) *place {
	of := h.segment(hash)
	if of.count == 0 {
		return nil
	}
	for i := hash; ; i++ {
		entry := of.entries[i&uint32(len(of.entries)-1)]
		if entry == 0 {
			return nil
		}
		if !entry.mayBe(hash) {
			continue
		}
		if place := h.at(entry.number() - 1); place.hash == hash && place.length > 0 && h.isOf(place, id) {
			return place
		}
	}
}

// isOf reports whether a record begins with an ID.
func (h *half) isOf(place *place, id string) bool {
	record := h.record(place)
	length, head := binary.Varint(record) // as packer.size writes it
	return length == int64(len(id)) && len(record) >= head+len(id) && string(record[head:head+len(id)]) == id
}

func (h *half) record(place *place) []byte {
	return h.chunks[place.chunk][place.from:][:place.length]
}

// add makes a place for a client that has none.
func (h *half) add(hash uint32) *place {
	if h.count%chunkCount == 0 {
		h.places = append(h.places, make([]place, chunkCount))
	}
	made := h.at(uint32(h.count))
	made.hash = hash
	h.count++
	of := h.segment(hash)
	if of.count++; 2*of.count > len(of.entries) {
		before := of.entries
		of.entries = make([]entry, max(16, 2*len(before)))
		for _, one := range before {
			if one > 0 {
				of.enter(h.at(one.number()-1).hash, one)
			}
		}
	}
	of.enter(hash, entryOf(hash, uint32(h.count)))
	return made
}

func (h *half) segment(hash uint32) *segment { return &h.index[hash/(1<<32/segments)] }

// enter enters a place.
func (s *segment) enter(hash uint32, made entry) {
	i, mask := hash, uint32(len(s.entries)-1)
	for s.entries[i&mask] != 0 {
		i++
	}
	s.entries[i&mask] = made
}

// put writes the record of a place, unless it is there.
func (h *half) put(place *place, id, common string, own []byte) {
	place.shape = h.shape(common)
	p := packer{packed: make([]byte, 0, len(id)+len(common)+len(own)+8)}
	p.string(&id)
	if place.shape == 0 {
		p.packed = append(p.packed, common...)
	}
	p.packed = append(p.packed, own...)
	if place.length > 0 && len(p.packed) <= int(place.length) {
		h.wasted += int(place.length) - len(p.packed)
	} else {
		h.wasted += int(place.length)
		h.makeRoom(place, len(p.packed))
	}
	place.length = uint32(len(p.packed))
	copy(h.record(place), p.packed) // nobody has these bytes: look copies them
}

// makeRoom makes room for a record.
func (h *half) makeRoom(place *place, length int) {
	last := len(h.chunks) - 1
	if last < 0 || len(h.chunks[last])+length > cap(h.chunks[last]) {
		size := max(chunkSize, length) // a longer one has its own
		h.chunks, h.size = append(h.chunks, make([]byte, 0, size)), h.size+size
		last++
	}
	chunk := h.chunks[last]
	place.chunk, place.from = uint16(last), uint16(len(chunk))
	h.chunks[last] = chunk[:len(chunk)+length]
}

// shape returns the number of a shape, 0 if there are too many.
func (h *half) shape(packed string) uint16 {
	number, known := h.known[packed]
	if known || len(h.shapes) == maxShapes {
		return number
	}
	made, _ := shapeOf(packed)
	h.shapes = append(h.shapes, made)
	h.known[made.packed] = uint16(len(h.shapes))
	return uint16(len(h.shapes))
}

// drop forgets a client.
func (h *half) drop(place *place) {
	h.wasted += int(place.length)
	place.length = 0
}

// A seen client is one as it is kept, and may be looked at without the lock.
type seen struct {
	place      *place
	generation int64
	shape      *shape
	id, own    string
}

// look copies what is known of a client.
func (h *half) look(place *place) seen {
	p := packer{text: string(h.record(place)), reads: true}
	s := seen{place: place, generation: place.generation}
	p.string(&s.id)
	if s.own = p.text; place.shape > 0 {
		s.shape = h.shapes[place.shape-1]
	} else {
		s.shape, s.own = shapeOf(s.own)
	}
	return s
}

// client makes the client ready.
func (s seen) client(at *catalog) *client {
	made := &client{
		// Of the older one: a request that began before a change leaves no grants of before to those who come after.
		common: &s.shape.common, generation: min(s.generation, at.generation), grants: s.shape.grants(at), kept: &s.place.kept,
	}
	made.ID = s.id
	p := packer{text: s.own, reads: true}
	p.own(&made.own)
	made.keys, made.rule = keysOf(made.Keys), ruleOf(s.shape.record.CertificateRule, made.CertificateValue)
	made.readLimits()
	return made
}
