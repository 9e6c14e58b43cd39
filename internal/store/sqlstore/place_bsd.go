//go:build darwin || dragonfly || freebsd || openbsd

package sqlstore

import (
	"os"

	"golang.org/x/sys/unix"
)

func filesystemOf(dir string) (kind string, network bool, err error) {
	var status unix.Statfs_t
	if err := unix.Statfs(dir, &status); err != nil {
		return "", false, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if status.Flags&unix.MNT_LOCAL == 0 {
		return "not local", true, nil
	}
	return "local", false, nil
}
