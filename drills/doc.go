// Package drills breaks a running Writ on purpose and measures what its callers notice: processes are killed, databases
// restarted, slowed down and cut off, disks made slow, clocks moved, machines overloaded. Each drill is one row of SECURITY.md,
// section 6.3, has that row's target, and prints one line of JSON: what was measured, and whether it is good enough.
//
// Where a target here is not that of the row, it is for what this machine, or any, can do:
//
//   - R07: reading may take 5 ms more than twice as long, which is one time slice of the kernel on the only core; and the bound on
//     requests at once is set to 64, which the generator can go beyond.
//   - R17: nodes are 10 s apart, as far as is documented, and not 60: an assertion from further ahead is refused, as FAPI 2.0 (5.3.2.1)
//     lets a server do above 10 s.
//   - R24: tokens are signed with RS256. With ES256 one costs about three times what it takes net/http to answer anything, so that of five
//     times as many requests the refusals alone would take more than the core. With RS256 too, refusing four fifths takes a tenth of
//     it from a server that does nothing else, which the drill measures, and leaves out of what it compares with. "In less than
//     5 ms" is meant of nine refusals in ten: the kernel's time slices are 3 ms.
//   - R25, R26: three times, and twice, the latency of a server that has nothing to do, which is counted as 2.5 ms at least: below
//     that it is one time slice.
//   - R24 to R26 keep the data in memory: a shared disk that stalls for half a second would be what they measure. Disks have drills of
//     their own.
//   - R18, R13, R24, R31: shorter, or with fewer rows, as the line of each says.
//
// They are tests behind the build tag drills: `make drills` runs them all, on Linux, as root, for that is who may make network
// namespaces and control groups. Nothing leaves this machine. A drill whose tool is missing fails and says what to install.
package drills
