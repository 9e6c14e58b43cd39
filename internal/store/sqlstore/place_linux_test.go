package sqlstore

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestST04Linux(t *testing.T) {
	for name, test := range map[string]struct {
		number  int64 // as statfs(2) may give it, sign included
		network bool
	}{
		"NFS":                   {0x6969, true},
		"SMB2":                  {0xfe534d42, true},
		"SMB2 on a signed type": {-0x1acb2be, true},
		"CIFS":                  {0xff534d42, true},
		"sshfs":                 {unix.FUSE_SUPER_MAGIC, true},
		"Ceph":                  {0x00c36400, true},
		"9p":                    {0x01021997, true},
		"Lustre":                {0x0bd00bd0, true},
		"ext4":                  {unix.EXT4_SUPER_MAGIC, false},
		"XFS":                   {unix.XFS_SUPER_MAGIC, false},
		"btrfs":                 {unix.BTRFS_SUPER_MAGIC, false},
		"overlay":               {unix.OVERLAYFS_SUPER_MAGIC, false},
		"tmpfs":                 {unix.TMPFS_MAGIC, false},
	} {
		if kind, network := filesystemKind(test.number); network != test.network || kind == "" {
			t.Errorf("%s: got %q, network: %t, want %t", name, kind, network, test.network)
		}
	}
}
