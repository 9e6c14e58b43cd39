package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A process is a server that was started here.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string // file with what it writes
	began time.Time
	ended chan struct{} // closed when it has
}

// startProcess starts a server on some cores. Its environment has nothing of Writ's, so that it is as it is delivered.
func startProcess(dir, name string, cpus []int, program string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "WRIT_") {
			p.cmd.Env = append(p.cmd.Env, variable)
		}
	}
	p.began = time.Now()
	if err := startPinned(p.cmd, cpus); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in the log
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends a process and waits until it has.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(15 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// await tries until something succeeds, and returns how long that took since the process was started.
func (p *process) await(ctx context.Context, try func() error) (time.Duration, error) {
	for {
		err := try()
		if err == nil {
			return time.Since(p.began), nil
		}
		select {
		case <-p.ended:
			text, _ := os.ReadFile(p.log)
			return 0, fmt.Errorf("%s ended:\n%s", p.name, text[max(0, len(text)-2000):])
		case <-ctx.Done():
			return 0, ctx.Err()
		default:
		}
		if time.Since(p.began) > time.Minute {
			return 0, fmt.Errorf("%s does not answer: %w", p.name, err)
		}
		time.Sleep(500 * time.Microsecond) // for another process
	}
}

// answers reports whether somebody listens.
func answers(address string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}

// freeAddresses returns addresses of this machine that nobody has.
func freeAddresses(n int) (addresses []string, err error) {
	for range n {
		listener, failed := net.Listen("tcp", "127.0.0.1:0")
		if failed != nil {
			return nil, errors.Join(err, failed)
		}
		defer listener.Close() //nolint:revive // all are held until all are known, or two would be the same
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}
