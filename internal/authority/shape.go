package authority

import (
	"sync/atomic"

	"github.com/writ-auth/writ/internal/store"
)

// A shape is what many clients have in common, and what follows from it. Most registries have many clients of few shapes.
type shape struct {
	packed  string       // as packer.common writes it
	record  store.Client // has nothing else
	common  common       // of it
	granted atomic.Pointer[granted]
}

// granted is what a shape comes to at a generation of the catalog.
type granted struct {
	generation int64
	grants     map[string]*effective
}

// shapeOf reads a shape that stands at the beginning of a text, and returns what stands behind it.
func shapeOf(text string) (s *shape, rest string) {
	s = &shape{}
	p := packer{text: text, reads: true}
	p.common(&s.record)
	s.packed = text[:len(text)-len(p.text)]
	s.common = commonOf(&s.record)
	return s, p.text
}

// grants adds up what a client of the shape may have, once for each generation.
func (s *shape) grants(of *catalog) map[string]*effective {
	if known := s.granted.Load(); known != nil && known.generation == of.generation {
		return known.grants
	}
	made := &granted{of.generation, of.effective(s.record)}
	s.granted.Store(made)
	return made.grants
}
