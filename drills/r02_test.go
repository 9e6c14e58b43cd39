//go:build drills

package drills

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/resource"
)

// TestDrillR02 kills a server at each step of the rotation of its signing key: at every write to the disk on SQLite, at every
// message to the database on PostgreSQL, until one rotation got through untouched. What came before and what comes behind, the
// taking over and the dropping of keys, is a matter of the clock and of one deletion, which are met on the way.
func TestDrillR02(t *testing.T) {
	d := begin(t, "R02", "kill -9 at each step of a rotation, SQLite and PostgreSQL: 100 % of the steps heal by themselves, one key signs, 0 verification failures")
	for name, steps := range map[string]func(*testing.T) rotations{"sqlite": killAtWrites, "postgresql": killAtMessages} {
		r := steps(t)
		d.want(name+"_steps", r.steps, r.steps >= 3)
		d.want(name+"_healed", r.healed, r.healed == r.steps)
		d.want(name+"_verification_failures", r.failures, r.failures == 0)
	}
}

type rotations struct{ steps, healed, failures int }

// A rotator is a node whose key is rotated, and what was issued by it.
type rotator struct {
	*node
	client  party
	callers *http.Client
	tokens  []string
	result  rotations
}

func newRotator(t *testing.T, n *node) *rotator {
	n.start()
	o := operate(t, n, n)
	o.resource(api, "ES256")
	r := &rotator{node: n, client: o.client("billing", api, nil), callers: keepAlive(8, nil)}
	r.issue()
	return r
}

func (r *rotator) issue() bool {
	token := tokenIn(send(r.callers, r.tokenOf(r.client)))
	if token != "" {
		r.tokens = append(r.tokens, token)
	}
	return token != ""
}

// check looks, after a kill and a start, whether all is as if nothing had been: one key signs, and every token verifies.
func (r *rotator) check() {
	r.t.Helper()
	r.callers.CloseIdleConnections()
	r.result.steps++
	verifier, err := resource.NewVerifier(resource.Config{Issuer: r.issuer, Audience: api})
	if err != nil {
		r.t.Fatal(err)
	}
	healed := r.issue()
	for _, token := range r.tokens {
		if _, err := verifier.Verify(r.t.Context(), token); err != nil {
			r.result.failures++
		}
	}
	var keys struct {
		Items []struct{ Algorithm, Status string }
	}
	operate(r.t, r.node, r.node).call(http.MethodGet, "/keys", nil, &keys)
	signing := 0
	for _, key := range keys.Items {
		if key.Algorithm == "ES256" && key.Status == "signing" {
			signing++
		}
	}
	if healed && signing == 1 {
		r.result.healed++
	} else {
		text, _ := json.Marshal(keys)
		r.t.Logf("step %d: a token: %v, keys that sign: %d: %s", r.result.steps, healed, signing, text)
	}
}

// mostSteps ends what has no end.
const mostSteps = 60

// killAtWrites has the kernel kill the server as it enters its n-th call that writes to a file, for every n of a rotation.
func killAtWrites(t *testing.T) rotations {
	strace := need(t, "strace", "strace")
	r := newRotator(t, newNode(t, "sqlite"))
	for at := 1; at < mostSteps; at++ {
		r.stop()
		r.start()
		if !r.rotateUnder(strace, at) {
			r.kill()
			r.start()
			r.check()
			continue
		}
		r.check()
		return r.result
	}
	t.Fatalf("a rotation has more than %d writes", mostSteps)
	return r.result
}

// rotateUnder rotates while strace waits for the n-th write.
func (r *rotator) rotateUnder(strace string, at int) bool {
	o := operate(r.t, r.node, r.node)
	stop := r.trace(strace, "pwrite64,fdatasync,fsync,ftruncate", fmt.Sprintf("signal=SIGKILL:when=%d", at))
	defer stop()
	a := o.send(http.MethodPost, "/keys/rotate", map[string]any{"algorithm": "ES256", "now": at%2 == 0})
	if a.status/100 != 2 {
		select {
		case <-r.ended:
		case <-time.After(10 * time.Second):
			r.t.Fatalf("the rotation failed and the server lives: %s %s", a.class(), a.body)
		}
		return false
	}
	return true
}

// killAtMessages kills the server as it sends its n-th message to the database, for every n of a rotation.
func killAtMessages(t *testing.T) rotations {
	_, dsn := database(t)
	w, through := newWire(t, dsn, nil)
	r := newRotator(t, newNode(t, "postgresql", "WRIT_DATABASE="+through))
	for at := int64(1); at < mostSteps; at++ {
		var met atomic.Int64
		o := operate(t, r.node, r.node)
		pid := r.process.Process.Pid
		heard := func() {
			if met.Add(1) == at {
				_ = kill9(pid)
				time.Sleep(50 * time.Millisecond) // the message is not passed on while it dies
			}
		}
		w.heard.Store(&heard)
		a := o.send(http.MethodPost, "/keys/rotate", map[string]any{"algorithm": "ES256", "now": at%2 == 0})
		w.heard.Store(nil)
		if met.Load() >= at {
			r.kill()
			r.start()
		}
		r.check()
		if a.status/100 == 2 {
			return r.result
		}
	}
	t.Fatalf("a rotation has more than %d messages", mostSteps)
	return r.result
}

// trace attaches strace to the node, which injects into system calls what is asked for. It returns what ends it.
func (n *node) trace(strace, calls, inject string) (stop func()) {
	n.t.Helper()
	log := n.log + ".strace"
	_ = os.Remove(log)
	command := command(strace, "-f", "-qq", "-o", log, "-e", "trace="+calls, "-e", "inject="+calls+":"+inject, "-p", fmt.Sprint(n.process.Process.Pid))
	if err := command.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.until("strace is attached", 10*time.Second, func() bool {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.process.Process.Pid))
		_, traced, _ := strings.Cut(string(status), "TracerPid:\t")
		return traced != "" && !strings.HasPrefix(traced, "0\n")
	})
	time.Sleep(100 * time.Millisecond) // to the other threads, too
	return func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
	}
}
