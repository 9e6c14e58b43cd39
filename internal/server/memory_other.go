//go:build !linux

package server

// systemMemory is how much memory there is for this process; 0 where that is not known.
func systemMemory() int64 { return 0 }
