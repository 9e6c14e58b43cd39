//go:build drills

package drills

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A namespace is a network of its own, in which packets can be dropped without anybody else noticing.
type namespace struct {
	t    *testing.T
	name string
	ip   string // the programs
	nft  string
}

// newNamespace makes a network that has loopback and the given further addresses, and nothing else.
func newNamespace(t *testing.T, addresses ...string) *namespace {
	t.Helper()
	n := &namespace{t: t, name: fmt.Sprintf("writ-drill-%d-%d", os.Getpid(), databases.Add(1)), ip: need(t, "ip", "iproute2"), nft: need(t, "nft", "nftables")}
	n.run(n.ip, "netns", "add", n.name)
	t.Cleanup(func() { n.run(n.ip, "netns", "del", n.name) })
	n.inside(n.ip, "link", "set", "lo", "up")
	for _, address := range addresses {
		n.inside(n.ip, "address", "add", address, "dev", "lo")
	}
	return n
}

func (n *namespace) run(program string, args ...string) {
	n.t.Helper()
	if out, err := command(program, args...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}

// inside runs a command in the network.
func (n *namespace) inside(args ...string) { n.t.Helper(); n.run(n.ip, n.wrap(args...)...) }

// wrap are the arguments of ip that run a command in the network.
func (n *namespace) wrap(args ...string) []string {
	return append([]string{"netns", "exec", n.name}, args...)
}

// drop makes the network swallow what goes to a port: no answer, no reset, as when a cable is pulled.
func (n *namespace) drop(port string) {
	n.t.Helper()
	n.inside(n.nft, "add table inet drill")
	n.inside(n.nft, "add chain inet drill output { type filter hook output priority 0 ; }")
	n.inside(n.nft, "add rule inet drill output tcp dport "+port+" drop")
	n.inside(n.nft, "add rule inet drill output tcp sport "+port+" drop")
}

// mend ends it.
func (n *namespace) mend() { n.t.Helper(); n.inside(n.nft, "delete table inet drill") }

// in does something on a thread that is in the network for as long: sockets stay where they were made. The thread goes back
// instead of ending, for with a thread end the processes that it has started (Pdeathsig).
func (n *namespace) in(do func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	there, err := os.Open("/run/netns/" + n.name)
	if err != nil {
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = do()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // everything that follows on this thread would be in the wrong network
	}
	return err
}

// dialFrom returns a dialer in the network, from an address; "" for any.
func (n *namespace) dialFrom(source string) func(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	if source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	return func(ctx context.Context, network, address string) (c net.Conn, err error) {
		err = n.in(func() (err error) {
			c, err = dialer.DialContext(ctx, network, address)
			return err
		})
		return c, err
	}
}

// listen listens in the network.
func (n *namespace) listen(address string) net.Listener {
	n.t.Helper()
	var l net.Listener
	err := n.in(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return l
}

// holds puts a node into the network: its process, and who asks it.
func (n *namespace) holds(node *node) {
	node.wrap = append([]string{n.ip}, n.wrap()...)
	node.dial = keepAlive(64, n.dialFrom(""))
}
