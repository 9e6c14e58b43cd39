package sqlstore

import (
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

const noFollow = 0

func tryLock(file *os.File) error {
	// The pid at the start of the file stays readable: the lock is on a byte far behind it.
	at := &windows.Overlapped{OffsetHigh: 1}
	return windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
}

func unlock(*os.File) error { return nil } // closing does it: handles are not shared with child processes

// On Windows access is a matter of lists that files inherit from their directory, and modes say nothing.

func worldWritable(fs.FileInfo) bool { return false }

func ownFile(string, fs.FileInfo) error { return nil }

func syncDirectory(string) error { return nil } // NTFS journals names

func filesystemOf(dir string) (kind string, network bool, err error) {
	root, err := windows.UTF16PtrFromString(filepath.VolumeName(dir) + `\`)
	if err != nil {
		return "", false, err
	}
	if windows.GetDriveType(root) == windows.DRIVE_REMOTE {
		return "network drive", true, nil
	}
	return "local drive", false, nil
}
