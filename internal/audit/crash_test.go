package audit

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// childDirectory, in the environment, turns the test binary into a process that records until it is killed.
const childDirectory = "WRIT_AUDIT_CHILD"

// recordForever records from several goroutines and prints each event's ID once Record has returned.
func recordForever(dir string) {
	j, err := Open(dir, Options{MaxFileBytes: 64 << 10})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	acknowledged := make(chan string)
	for worker := range 8 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", worker, i)
				if err := j.Record(context.Background(), Event{Kind: "token.issued", TokenID: id}); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(2)
				}
				acknowledged <- id
			}
		}()
	}
	for id := range acknowledged {
		fmt.Println(id)
	}
}

func TestR35KillLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	seen := map[string]bool{}
	for round := range 3 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childDirectory+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for count := 0; lines.Scan(); count++ {
			if count == 700*(round+1) {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			seen[fmt.Sprint(round, " ", lines.Text())] = true
		}
		_ = child.Wait() // it was killed
	}
	j := open(t, dir, Options{}) // repairs what the last kill left
	closeJournal(t, j)
	verified(t, dir)

	// IDs repeat from round to round: an ID must be there as often as it was acknowledged.
	recorded := map[string]int{}
	for _, event := range contents(t, dir) {
		recorded[event.TokenID]++
	}
	for key := range seen {
		_, id, _ := strings.Cut(key, " ")
		recorded[id]--
	}
	for id, balance := range recorded {
		if balance < 0 {
			t.Errorf("event %s was acknowledged and is not in the journal", id)
		}
	}
	if len(seen) < 700*(1+2+3) {
		t.Errorf("only %d events were acknowledged: the child did not run", len(seen))
	}
}
