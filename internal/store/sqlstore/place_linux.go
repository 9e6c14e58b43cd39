package sqlstore

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// networkFilesystems by the number that statfs(2) gives. FUSE may be local, but nothing tells, and its locks depend on
// the program behind it. 9p and virtiofs (which is FUSE) share the host's files with virtual machines.
var networkFilesystems = map[int64]string{
	unix.NFS_SUPER_MAGIC:   "NFS",
	unix.SMB_SUPER_MAGIC:   "SMB",
	unix.SMB2_SUPER_MAGIC:  "SMB",
	unix.CIFS_SUPER_MAGIC:  "CIFS",
	unix.FUSE_SUPER_MAGIC:  "FUSE",
	unix.CEPH_SUPER_MAGIC:  "Ceph",
	unix.AFS_SUPER_MAGIC:   "AFS",
	unix.AFS_FS_MAGIC:      "AFS",
	unix.CODA_SUPER_MAGIC:  "Coda",
	unix.V9FS_MAGIC:        "9p",
	unix.OCFS2_SUPER_MAGIC: "OCFS2",
	0x01161970:             "GFS2",
	0x0bd00bd0:             "Lustre",
	0x47504653:             "GPFS",
	0x19830326:             "BeeGFS",
	0x786f4256:             "VirtualBox shared folder",
}

func filesystemOf(dir string) (kind string, network bool, err error) {
	var status unix.Statfs_t
	if err := unix.Statfs(dir, &status); err != nil {
		return "", false, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	kind, network = filesystemKind(int64(status.Type)) //nolint:unconvert // 32 bits wide on some machines
	return kind, network, nil
}

func filesystemKind(number int64) (kind string, network bool) {
	number = int64(uint32(number)) // signed on some machines: CIFS and SMB2 would be negative
	if kind, ok := networkFilesystems[number]; ok {
		return kind, true
	}
	return fmt.Sprintf("%#x", number), false
}
