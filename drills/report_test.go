//go:build drills

package drills

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// A result is what a drill says.
type result struct {
	Drill    string         `json:"drill"`
	Target   string         `json:"target"`
	Measured map[string]any `json:"measured"`
	OK       bool           `json:"ok"`
	Seconds  float64        `json:"seconds"`
}

// A drilling collects what is measured.
type drilling struct {
	t      *testing.T
	began  time.Time
	result result
}

// begin begins a drill and says what it is held to. Its line is printed when the test ends, however it ends.
func begin(t *testing.T, name, target string) *drilling {
	t.Helper()
	d := &drilling{t: t, began: time.Now(), result: result{Drill: name, Target: target, Measured: map[string]any{}}}
	t.Cleanup(func() {
		d.result.OK = !t.Failed()
		d.result.Seconds = float64(time.Since(d.began).Round(100*time.Millisecond)) / float64(time.Second)
		line := json.NewEncoder(os.Stdout)
		line.SetEscapeHTML(false)
		fmt.Println() // go test -v may have begun a line
		if err := line.Encode(d.result); err != nil {
			t.Error(err)
		}
	})
	return d
}

// note keeps a figure.
func (d *drilling) note(name string, value any) {
	if took, is := value.(time.Duration); is {
		value = fmt.Sprintf("%.1fms", float64(took.Microseconds())/1000)
	}
	d.result.Measured[name] = value
}

// want keeps a figure and fails the drill if it is not good.
func (d *drilling) want(name string, value any, good bool) {
	d.t.Helper()
	d.note(name, value)
	if !good {
		d.t.Errorf("%s: %s is %v; target: %s", d.result.Drill, name, d.result.Measured[name], strings.TrimSpace(d.result.Target))
	}
}
