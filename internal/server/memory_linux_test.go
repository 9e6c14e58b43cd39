package server

import (
	"math"
	"testing"
	"testing/fstest"

	"github.com/writ-auth/writ/internal/authority"
)

// TestGroupMemory: the least limit of all groups that the process is in counts, in a container and beneath systemd.
func TestGroupMemory(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"none":        {nil, 0},
		"no limit":    {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		"a container": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "268435456\n"}, 256 << 20},
		"a service": {map[string]string{
			"proc/self/cgroup": "0::/system.slice/writ.service\n",
			"sys/fs/cgroup/system.slice/writ.service/memory.max":    "536870912\n",
			"sys/fs/cgroup/system.slice/memory.max":                 "max\n",
			"sys/fs/cgroup/system.slice/another.service/memory.max": "1\n",
		}, 512 << 20},
		"a slice has less": {map[string]string{
			"proc/self/cgroup": "0::/some.slice/writ.service\n", "sys/fs/cgroup/some.slice/memory.max": "100000000\n",
			"sys/fs/cgroup/some.slice/writ.service/memory.max": "536870912\n",
		}, 100_000_000},
		"v1": {map[string]string{
			"proc/self/cgroup": "12:cpu:/a\n7:memory:/docker/1234\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
			"sys/fs/cgroup/memory/docker/1234/memory.limit_in_bytes": "268435456\n", "sys/fs/cgroup/a/memory.max": "1\n",
		}, 256 << 20},
		"a path from elsewhere": {map[string]string{"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/memory.max": "7\n"}, 7},
	} {
		root := fstest.MapFS{}
		for path, text := range c.files {
			root[path] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := groupMemory(root); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
	if systemMemory() < 64<<20 {
		t.Errorf("this machine has %d bytes of memory", systemMemory())
	}
}

func TestClientMemory(t *testing.T) {
	const none = math.MaxInt64
	for _, c := range []struct {
		system, limit int64
		want          int
	}{
		{24 << 30, none, authority.DefaultClientMemory},
		{0, none, authority.DefaultClientMemory},
		{256 << 20, none, 128 << 20},
		{24 << 30, 200 << 20, 100 << 20},
		{256 << 20, 200 << 20, 100 << 20},
		{1, 1, 1 << 20},
	} {
		if got := clientMemory(c.system, c.limit); got != c.want {
			t.Errorf("%d, %d: got %d, want %d", c.system, c.limit, got, c.want)
		}
	}
}
