package sqlstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// safePlace returns the path of the database without symbolic links, and makes the file and its directory if they are
// not there. It refuses a place where other users of the machine could read the database or put another in its stead
// (CVE-2021-38553), and one where SQLite cannot keep it whole.
func safePlace(path string, options Options) (string, error) {
	if path == "" || path == ":memory:" {
		return "", errors.New(`the DSN must name a file, "sqlite:PATH"`)
	}
	path, err := realPath(path)
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(path)
	if err := safeDirectory(dir); err != nil {
		return "", err
	}
	filesystem := options.filesystem
	if filesystem == nil {
		filesystem = filesystemOf
	}
	kind, network, err := filesystem(dir)
	if err != nil {
		return "", err
	}
	if network && !options.AllowNetworkFS {
		return "", fmt.Errorf("%s is on a network file system (%s), where SQLite's locks do not work and the database may be corrupted; "+
			"use a local disk, or PostgreSQL", dir, kind)
	}
	return path, safeFiles(path)
}

// realPath returns where path leads to, and makes its directory.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

func safeDirectory(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if worldWritable(info) {
		return fmt.Errorf("every user of this machine can write to %s, and so replace the database; make it yours alone: chmod 700 %[1]s", dir)
	}
	return nil
}

// safeFiles makes the database, so that it has the right permissions from its first moment, or checks those it has.
func safeFiles(path string) error {
	if err := create(path); err != nil {
		return err
	}
	// SQLite gives the WAL the permissions of the database, but not its index.
	if err := create(path + "-shm"); err != nil {
		return err
	}
	for _, name := range []string{path, path + "-wal", path + "-shm", path + "-journal", path + ".lock"} {
		info, err := os.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := safeFile(name, info); err != nil {
			return err
		}
	}
	return nil
}

func create(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close(), syncDirectory(filepath.Dir(path)))
}

func safeFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	return ownFile(path, info)
}
