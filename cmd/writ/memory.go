package main

import "runtime"

// heapFloor is memory that is counted and never touched, so that it takes none: the collector runs when the heap has doubled,
// and the heap of a server that keeps nothing per token is so small that it would run forty times a second under load, for a
// tenth of the processor. With it the heap grows by 12 MiB more before it does.
const heapFloor = 12 << 20

// holdHeapFloor makes the collector wait for a heap of heapFloor until release is called. Who says with GOGC or GOMEMLIMIT how
// much memory there is to be has the last word.
func holdHeapFloor(gogc, limit string) (release func()) {
	if gogc != "" || limit != "" {
		return func() {}
	}
	floor := make([]byte, heapFloor)
	return func() { runtime.KeepAlive(floor) }
}
