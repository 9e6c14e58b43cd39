// Package drills breaks a running Writ on purpose and measures what its callers notice: processes are killed, databases
// restarted, slowed down and cut off, disks made slow, clocks moved, machines overloaded. Each drill is one row of SECURITY.md,
// section 6.3, has that row's target, and prints one line of JSON: what was measured, and whether it is good enough.
//
// They are tests behind the build tag drills: `make drills` runs them all, on Linux, as root, for that is who may make network
// namespaces and control groups. Nothing leaves this machine. A drill whose tool is missing fails and says what to install.
package drills
