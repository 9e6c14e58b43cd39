//go:build !linux

package main

import (
	"errors"
	"os/exec"
	"syscall"
)

func ownNetwork(*exec.Cmd) error { return errors.New("only Linux has them") }

func loopbackUp() error { return nil }

func ownGroup(*exec.Cmd) {}

func signalGroup(cmd *exec.Cmd, signal syscall.Signal) { _ = cmd.Process.Signal(signal) }
