package audit

import (
	"errors"
	"io"
	"os"
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
	k := newKernel()
	if k == nil {
		_ = f.Close() // nothing was written
		return nil
	}
	return &directFile{f, k}
}

func (f *directFile) write(data []byte, offset int64) error {
	block := &f.kernel.block
	block.operation, block.file = opWrite, uint32(f.Fd())
	block.data, block.size, block.offset = uint64(uintptr(unsafe.Pointer(&data[0]))), uint64(len(data)), offset // #nosec G103 -- the ring keeps its buffer
	n, err := f.kernel.ask()
	if err == nil && n < int64(len(data)) {
		return io.ErrShortWrite
	}
	return err
}

func (f *directFile) busy() (bool, error) {
	if !f.kernel.waiting {
		return false, nil
	}
	answered, _, err := f.kernel.collect()
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
