//go:build !unix

package client

import (
	"io/fs"
	"os"
)

// sameOwner does nothing: a new file inherits what its directory says.
func sameOwner(*os.File, fs.FileInfo) error { return nil }

// syncDirectory does nothing: where directories cannot be synced, a rename is as durable as it gets.
func syncDirectory(string) error { return nil }
