package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// A newFile is a file that is to be made. Without a path it is not wanted.
type newFile struct {
	path string
	mode fs.FileMode
	data []byte
}

// writeNew makes files and overwrites none: a key that is overwritten is lost, and with it whatever it was registered for.
// If one cannot be made, those made before are removed.
func writeNew(files ...newFile) error {
	var made []string
	for _, file := range files {
		if file.path == "" {
			continue
		}
		out, err := os.OpenFile(file.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, file.mode)
		if errors.Is(err, fs.ErrExist) {
			err = advise(fmt.Errorf("%s is there already", file.path), "a key is never overwritten: name another file, or move this one away")
		}
		if err == nil {
			made = append(made, file.path)
			_, err = out.Write(file.data)
			err = errors.Join(err, out.Sync(), out.Close())
		}
		if err != nil {
			for _, path := range made {
				err = errors.Join(err, os.Remove(path))
			}
			return err
		}
	}
	return nil
}
