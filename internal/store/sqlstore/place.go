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
	return path, safeDatabase(path)
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

// safeDatabase makes the database, so that it has the right permissions from its first moment, or checks those it has.
func safeDatabase(path string) error {
	return errors.Join(create(path), safeFile(path), safeFile(path+".lock"))
}

// safeCompanions does so for the files that SQLite keeps beside a database. Whoever calls it must be the only one that
// opens the database: SQLite makes a file first and gives it the permissions of the database then.
func safeCompanions(path string) error {
	database, err := os.Stat(path)
	if err != nil {
		return err
	}
	names := []string{path + "-shm"}
	if database.Size() > 0 { // SQLite does not want a WAL beside a database that is still empty
		names = append(names, path+"-wal")
	}
	for _, name := range names {
		if err := create(name); err != nil {
			return err
		}
	}
	return errors.Join(safeFile(path+"-wal"), safeFile(path+"-shm"), safeFile(path+"-journal"))
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

// safeFile checks a file, if it is there.
func safeFile(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	}
	return ownFile(path, info)
}
