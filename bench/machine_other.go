//go:build !linux

package main

import (
	"os/exec"
	"runtime"
	"time"
)

// Elsewhere than on Linux nothing is pinned, and neither processor time nor memory of a server is known.

func cores() (server, load []int) { return nil, nil }

func pinSelf([]int) error { return nil }

func startPinned(cmd *exec.Cmd, _ []int) error { return cmd.Start() }

func cpuTime(int) time.Duration { return 0 }

func busyTime() time.Duration { return 0 }

func memory(int, string) int64 { return 0 }

func machine() (processor, kernel string) { return runtime.GOARCH, runtime.GOOS }

type waiter struct{}

func newWaiter() waiter { return waiter{} }

func (waiter) close() {}

func (waiter) until(at time.Time) { time.Sleep(time.Until(at)) }
