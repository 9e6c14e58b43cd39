package remotekeys_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// A nameServer answers any name with what the test says.
type nameServer struct {
	conn net.PacketConn

	mu      sync.Mutex // guards what follows
	answers [][]string // the addresses of each answer in turn; the last is repeated
	asked   map[dnsmessage.Type]int
}

// newNameServer answers questions for addresses with answers[0] the first time, answers[1] the second, and so on; A and
// AAAA count for themselves.
func newNameServer(t *testing.T, answers ...[]string) *nameServer {
	t.Helper()
	s := &nameServer{conn: must(net.ListenPacket("udp", "127.0.0.1:0")), answers: answers, asked: map[dnsmessage.Type]int{}}
	done := make(chan struct{})
	go func() { defer close(done); s.serve() }()
	t.Cleanup(func() { _ = s.conn.Close(); <-done })
	return s
}

// resolver asks this server and no other.
func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

func (s *nameServer) serve() {
	buffer := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var question dnsmessage.Message
		if err := question.Unpack(buffer[:n]); err != nil || len(question.Questions) != 1 {
			continue
		}
		if reply, err := s.answer(question); err == nil {
			_, _ = s.conn.WriteTo(reply, from)
		}
	}
}

func (s *nameServer) answer(m dnsmessage.Message) ([]byte, error) {
	q := m.Questions[0]
	s.mu.Lock()
	turn := min(s.asked[q.Type], len(s.answers)-1)
	s.asked[q.Type]++
	s.mu.Unlock()
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}
	m.Additionals = nil
	for _, text := range s.answers[turn] {
		address := netip.MustParseAddr(text)
		header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: dnsmessage.ClassINET, TTL: 0}
		switch {
		case q.Type == dnsmessage.TypeA && address.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: address.As4()}})
		case q.Type == dnsmessage.TypeAAAA && address.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: address.As16()}})
		}
	}
	return m.Pack()
}

func (s *nameServer) questions(kind dnsmessage.Type) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[kind]
}
