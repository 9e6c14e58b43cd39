//go:build drills

package drills

import (
	"os/exec"
	"syscall"
)

// command runs a tool that ends with this process.
func command(program string, args ...string) *exec.Cmd {
	c := exec.Command(program, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return c
}

func kill9(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }
