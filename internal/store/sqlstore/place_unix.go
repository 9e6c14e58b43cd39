//go:build unix

package sqlstore

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const noFollow = unix.O_NOFOLLOW

func tryLock(file *os.File) error { return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// unlock gives the lock back. Closing the file is not enough: a child process that is being started at this moment shares
// it until it runs its program, and would keep the lock that long.
func unlock(file *os.File) error { return unix.Flock(int(file.Fd()), unix.LOCK_UN) }

func worldWritable(info fs.FileInfo) bool { return info.Mode().Perm()&0o002 != 0 }

// ownFile refuses a file that others may read or write, that is another user's, or that has a second name, under which
// another process could open it beside our lock. A group may have rights: container platforms give them to volumes.
func ownFile(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o007 != 0 {
		return fmt.Errorf("every user of this machine can read or write %s (mode %04o); make it yours alone: chmod 600 %[1]s",
			path, info.Mode().Perm())
	}
	status, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("cannot tell who owns %s", path)
	}
	if uid := os.Geteuid(); int(status.Uid) != uid {
		return fmt.Errorf("%s belongs to user %d and Writ runs as user %d; run it as the owner", path, status.Uid, uid)
	}
	if status.Nlink != 1 {
		return fmt.Errorf("%s has %d names (hard links); it must have one", path, status.Nlink)
	}
	return nil
}

// syncDirectory makes a new file's name survive a power failure.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
