package server

import (
	"runtime/debug"

	"github.com/writ-auth/writ/internal/authority"
)

// clientMemory is how much memory the clients may take that asked lately: half of what there is, where that is little. The other half
// is for everything else, which is less, and for what waits to be collected.
func clientMemory(system, limit int64) int {
	most := min(authority.DefaultClientMemory, limit/2) // without a limit (GOMEMLIMIT), it is the largest number
	if system > 0 {
		most = min(most, system/2)
	}
	return int(max(most, 1<<20))
}

// memoryForClients is clientMemory of this process.
func memoryForClients() int { return clientMemory(systemMemory(), debug.SetMemoryLimit(-1)) }
