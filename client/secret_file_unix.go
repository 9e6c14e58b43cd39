//go:build unix

package client

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// sameOwner gives a file to the owner and group of another. Who may not, leaves it: it can still be read by who wrote it.
func sameOwner(file *os.File, before fs.FileInfo) error {
	if before == nil {
		return nil
	}
	was, known := before.Sys().(*syscall.Stat_t)
	if !known {
		return nil
	}
	err := file.Chown(int(was.Uid), int(was.Gid))
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// syncDirectory makes the names in a directory survive a crash of the machine.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
