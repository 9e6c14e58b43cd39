package audit

import (
	"errors"
	"io"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A directFile is written past the page cache, durably, while no thread waits.
type directFile struct {
	*os.File
	kernel *kernel
}

// openRingDisk opens a ring's file, or returns nil where it cannot be written so.
func openRingDisk(name string) ringDisk {
	f, err := os.OpenFile(name, os.O_WRONLY|unix.O_DIRECT|unix.O_DSYNC, 0)
	if err != nil {
		return nil
	}
	if keepsWord(f) {
		if k := newKernel(); k != nil {
			k.patience = time.Second
			return &directFile{f, k}
		}
	}
	_ = f.Close() // nothing was written
	return nil
}

// keepsWord reports whether a file is on a file system of which it is known that what is written to it asynchronously with O_DSYNC is
// durable when the kernel says so. Others leave that to a server or to a program (FUSE, NFS, 9P), which may not.
func keepsWord(f *os.File) bool {
	var on unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &on); err != nil {
		return false
	}
	switch int64(on.Type) { //nolint:unconvert // int32 on 32-bit systems
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC:
		return true
	}
	return false
}

func (f *directFile) write(data []byte, offset int64) error {
	block := &f.kernel.block
	block.operation, block.file = opWrite, uint32(f.Fd())
	block.data, block.size, block.offset = uint64(uintptr(unsafe.Pointer(&data[0]))), uint64(len(data)), offset // #nosec G103 -- the ring keeps its buffer
	n, err := f.kernel.ask()
	f.kernel.patience = patience // the first was to find out
	if err == nil && n < int64(len(data)) {
		return io.ErrShortWrite
	}
	return err
}

func (f *directFile) busy() (bool, error) {
	if !f.kernel.waiting {
		return false, nil
	}
	answered, _, err := f.kernel.collect() // however much of it: the file has the lines of what was late
	return !answered, err
}

func (f *directFile) close() error {
	return errors.Join(f.kernel.close(), f.Close()) // in this order: it may still write
}

// pages returns memory that begins at a page.
func pages(size int) []byte {
	b := make([]byte, size+ringBlock)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (ringBlock - 1) // #nosec G103 -- only to count
	return b[skip : skip+size]
}
