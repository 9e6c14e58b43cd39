package authority

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// A packer writes what decisions need of clients as few bytes, and reads it again. The same lines do both, so that what is read is what was
// written: TestPack holds them to every field that there is.
type packer struct {
	packed []byte // what was written
	text   string // what is still to be read
	reads  bool
	last   int64 // time, in microseconds
}

// common is what many clients have in common: how they authenticate and what they may have.
func (p *packer) common(c *store.Client) {
	p.string(&c.AuthMethod)
	p.string(&c.FormerMethod)
	p.time(&c.FormerUntil)
	p.strings(&c.GrantTypes)
	p.string(&c.SigningAlgorithm)
	p.string(&c.CertificateRule)
	p.bools(&c.CertificateBound, &c.DPoPBound, &c.MultipleAudiences, &c.RotatesSecrets, &c.Suspended)
	list(p, &c.Grants, (*packer).grant)
	p.strings(&c.Roles)
	p.strings(&c.ResourceServerFor)
	p.duration(&c.TokenTTL)
	p.duration(&c.TokenReuse)
	p.strings(&c.Networks)
	p.string(&c.Claims)
	p.duration(&c.Registration.FirstUse)
	p.duration(&c.Registration.Idle)
}

// own is what a client has for itself, but for the ID.
func (p *packer) own(c *own) {
	p.secrets(c)
	list(p, &c.Keys, (*packer).key)
	p.string(&c.JWKSURI)
	p.string(&c.CertificateValue)
	p.time(&c.NotBefore)
	p.time(&c.Updated)
	p.time(&c.Rotated)
}

// secrets reads the only one that most have into the client.
func (p *packer) secrets(c *own) {
	if size := p.size(len(c.Secrets)); p.reads && size == 1 {
		c.Secrets = c.room[:]
	} else if p.reads && size > 1 {
		c.Secrets = make([]secret, size)
	}
	for i := range c.Secrets {
		p.secret(&c.Secrets[i])
	}
}

func (p *packer) grant(g *store.Grant) {
	p.string(&g.Resource)
	p.strings(&g.Scopes)
	p.strings(&g.Defaults)
	p.string(&g.Claims)
}

func (p *packer) secret(s *secret) {
	p.string(&s.ID)
	p.string(&s.foreign)
	if s.foreign == "" {
		p.sum(&s.sum)
	}
	p.time(&s.NotBefore)
	p.time(&s.Expires)
	p.ceiling(&s.limit)
}

func (p *packer) key(k *store.ClientKey) {
	p.string(&k.ID)
	p.string(&k.Algorithm)
	p.bytes(&k.Public)
	p.bytes(&k.Certificate)
	p.time(&k.NotBefore)
	p.time(&k.Expires)
	p.limit(&k.Limit)
}

func (p *packer) limit(l *store.Limit) {
	p.duration(&l.TokenTTL)
	p.strings(&l.Scopes)
	p.strings(&l.Networks)
}

// ceiling is a limit that is read; most have none.
func (p *packer) ceiling(l **limit) {
	some := *l != nil
	if p.bools(&some); !some {
		return
	}
	var record store.Limit
	if !p.reads {
		record = (*l).record
	}
	if p.limit(&record); p.reads {
		*l = limitOf(record)
	}
}

// number is written in as few bytes as it needs.
func (p *packer) number(n *int64) {
	if !p.reads {
		p.packed = binary.AppendVarint(p.packed, *n)
		return
	}
	read, text := uint64(0), p.text
	for i := range len(text) {
		b := text[i]
		read |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			*n, p.text = int64(read>>1)^-int64(read&1), text[i+1:]
			return
		}
	}
}

// size is the length of something, in bytes or elements.
func (p *packer) size(n int) int {
	size := int64(n)
	p.number(&size)
	return int(size)
}

// string reads a part of the text that it stands in, which stays in memory with it.
func (p *packer) string(s *string) {
	size := p.size(len(*s))
	if !p.reads {
		p.packed = append(p.packed, *s...)
		return
	}
	*s, p.text = p.text[:size], p.text[size:]
}

func (p *packer) bytes(b *[]byte) {
	text := string(*b)
	p.string(&text)
	if p.reads && text != "" {
		*b = []byte(text)
	}
}

// list reads an empty list as nil.
func list[T any](p *packer, all *[]T, each func(*packer, *T)) {
	size := p.size(len(*all))
	if p.reads && size > 0 {
		*all = make([]T, size)
	}
	for i := range size {
		each(p, &(*all)[i])
	}
}

func (p *packer) strings(all *[]string) { list(p, all, (*packer).string) }

func (p *packer) duration(d *time.Duration) { p.number((*int64)(d)) }

// time has microseconds, as the store does, and is written as the distance from the time before it: 0 is no time, and 1 is none.
func (p *packer) time(t *time.Time) {
	var distance int64
	if !p.reads && !t.IsZero() {
		if distance = t.UnixMicro() - p.last; distance >= 0 {
			distance++
		}
	}
	if p.number(&distance); distance == 0 {
		return
	}
	if distance > 0 {
		distance--
	}
	if p.last += distance; p.reads {
		*t = time.UnixMicro(p.last).UTC()
	}
}

func (p *packer) sum(sum *[sha256.Size]byte) {
	if !p.reads {
		p.packed = append(p.packed, sum[:]...)
		return
	}
	p.text = p.text[copy(sum[:], p.text):]
}

func (p *packer) bools(all ...*bool) {
	var bits int64
	for i, one := range all {
		if *one {
			bits |= 1 << i
		}
	}
	p.number(&bits)
	for i, one := range all {
		*one = bits&(1<<i) != 0
	}
}
