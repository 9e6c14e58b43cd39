//go:build !linux

package slowhash

// Aside does long work, and returns when it is done.
func Aside(work func()) { work() }
