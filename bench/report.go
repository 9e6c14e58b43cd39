package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// A block is a part of docs/performance.md that a run writes: what stands between <!-- bench:NAME --> and <!-- bench -->.
type block struct{ name, text string }

// report prints what was measured, and writes it where it is kept.
func (b *bench) report() error {
	blocks := []block{
		{"conditions", b.conditions()}, {"targets", b.targets()}, {"ratios", b.ratios()}, {"latency", b.latency()},
		{"footprint", b.footprint()}, {"growth", b.growthTable()}, {"operators", b.operatorTable()}, {"nodes", b.clusterTable()}, {"profile", b.profileTable()},
	}
	fmt.Fprintln(b.progress)
	var all strings.Builder
	for _, one := range blocks {
		if one.text != "" {
			fmt.Fprintf(&all, "\n%s", one.text)
		}
	}
	fmt.Println(all.String())
	if err := os.WriteFile(filepath.Join(b.out, "table.md"), []byte(all.String()), 0o644); err != nil {
		return err
	}
	chart := chartOf(b.results, b.busy)
	if err := os.WriteFile(filepath.Join(b.out, "chart.svg"), chart, 0o644); err != nil {
		return err
	}
	if b.document == "" {
		return nil
	}
	return writeDocument(b.document, blocks, chart)
}

// writeDocument puts blocks into a document in the place of those that it has, and the chart beside it. What was not measured,
// for want of PostgreSQL or perf, leaves what is there.
func writeDocument(path string, blocks []block, chart []byte) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(content)
	for _, one := range blocks {
		begin, end := "<!-- bench:"+one.name+" -->\n", "<!-- bench -->"
		before, after, found := strings.Cut(text, begin)
		_, rest, closed := strings.Cut(after, end)
		if !found || !closed {
			return fmt.Errorf("%s has no block %q", path, begin)
		}
		if one.text == "" {
			continue
		}
		text = before + begin + one.text + end + rest
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	return os.WriteFile(strings.TrimSuffix(path, filepath.Ext(path))+".svg", chart, 0o644)
}

// busyMachine is the share of the cores above which others have spoiled the measurement.
const busyMachine = 0.05

// conditions say where, when and how: figures without them are rumours.
func (b *bench) conditions() string {
	processor, kernel := machine()
	var out strings.Builder
	fmt.Fprintf(&out, "Measured %s at commit %s with %s on %s, %d cores, %s. ", b.began.UTC().Format("2006-01-02 15:04 UTC"), b.commit(), runtime.Version(), processor, runtime.NumCPU(), kernel)
	if b.server != nil {
		fmt.Fprintf(&out, "Servers on core %d, load from the others. ", b.server[0])
	} else {
		out.WriteString("Nothing was pinned. ")
	}
	fmt.Fprintf(&out, "Medians of %d rounds, %v for each server in turn; it took %v.", b.rounds, b.measure, time.Since(b.began).Round(time.Second))
	if fine := b.finely(); b.growth != nil {
		fmt.Fprintf(&out, " Growth: of %d rounds, %v for each.", fine.rounds, fine.measure)
	}
	if b.measured > 0 {
		share := b.foreign.Seconds() / b.measured.Seconds() / float64(runtime.NumCPU())
		fmt.Fprintf(&out, " Other programs, and the disk, used %.0f %% of the machine meanwhile.", 100*share)
		if share > busyMachine {
			out.WriteString("\n\n**The machine had other work: these figures are for a look, and will be replaced.**")
		}
	}
	if b.name != fullRun.name {
		fmt.Fprintf(&out, "\n\n**A %s run: each figure is one short look, not a measurement.**", b.name)
	}
	return out.String() + "\n"
}

// commit names what was built.
func (b *bench) commit() string {
	cmd := exec.Command("git", "-c", "safe.directory=*", "describe", "--tags", "--always", "--dirty")
	cmd.Dir = b.source
	out, err := cmd.Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// full is the share of its core that a server uses when nothing else is in its way.
const full = 0.85

// mark says what else took the time, where a server left its core idle: the generator, or the disk.
func (b *bench) mark(r result, s sample) string {
	switch {
	case r.connections == 1 || s.cpu == 0 || s.busy >= full:
		return ""
	case s.loaded >= full*float64(len(b.load)):
		return " ‡"
	}
	return " †"
}

// The notes of the marks.
const notes = `
† The server's core was less than 85 % busy: something else took the time, such as the disk. Go by CPU.

‡ The same, because the generator could not do more. Go by CPU.
`

// ratios is the table of what is compared with the limit.
func (b *bench) ratios() string {
	if len(b.results) == 0 {
		return ""
	}
	t := table{head: []string{"what", "connections", "the limit does", "limit /s", "Writ /s", "ratio", "limit CPU µs", "Writ CPU µs", "CPU ratio", "load CPU µs"}}
	for _, r := range b.results {
		if r.failed != nil {
			t.add(r.title, fmt.Sprint(r.connections), r.against, "", "", "failed", "", "", "", "")
		}
		if r.rate > 0 || r.failed != nil {
			continue
		}
		first, second := middle(r.pair.first), middle(r.pair.second)
		rates := [2]string{}
		for i, s := range []sample{first, second} {
			rates[i] = whole(s.perSecond) + b.mark(r, s)
		}
		byCPU := "–"
		if second.cpu > 0 && first.cpu > 0 {
			byCPU = ratio(float64(first.cpu) / float64(second.cpu))
		}
		t.add(r.title, fmt.Sprint(r.connections), r.against, rates[0], rates[1], ratio(r.ratio), micros(first.cpu), micros(second.cpu), byCPU, micros(second.generator))
	}
	return t.String() + notes
}

// latency is how long tokens take at half load.
func (b *bench) latency() string {
	t := table{head: []string{"at half load", "connections", "limit: requests /s", "p50", "p99", "Writ: requests /s", "p50", "p99"}}
	for _, r := range b.results {
		if r.rate > 0 && r.failed == nil {
			first, second := middle(r.pair.first), middle(r.pair.second)
			t.add(r.title, fmt.Sprint(r.connections), whole(first.perSecond), millis(first.p50), millis(first.p99), whole(second.perSecond), millis(second.p50), millis(second.p99))
		}
	}
	if t.rows == nil {
		return ""
	}
	return t.String()
}

// footprint is start, memory and size.
func (b *bench) footprint() string {
	if b.start == nil {
		return ""
	}
	s, t := b.start, table{head: []string{"", "limit", "Writ"}}
	t.add("first start to first token", millis(s.limit), millis(s.first))
	t.add("start to first token, with a database", "", millis(s.again))
	t.add("memory, idle after start", "", megabytes(s.idle))
	t.add(fmt.Sprintf("memory, most at %d connections", b.busy), megabytes(s.limitPeak), megabytes(s.peak))
	t.add("size of the binary", "", megabytes(s.binary))
	return t.String()
}

// growthTable is what happens when there is much of something.
func (b *bench) growthTable() string {
	if len(b.growth) == 0 {
		return ""
	}
	t := table{head: []string{"clients", "revoked tokens", "measured", "with 10 clients /s", "with these /s", "ratio", "CPU µs", "start", "memory", "database"}}
	for _, g := range b.growth {
		first, second := middle(g.first), middle(g.second)
		t.add(thousands(g.clients), thousands(g.revoked), g.what, whole(first.perSecond), whole(second.perSecond), ratio(g.ratio), micros(second.cpu),
			millis(g.sinceStart), megabytes(g.memory), megabytes(g.database))
	}
	text := t.String()
	if i := b.issued; i != nil {
		each := float64(i.journal) / float64(i.tokens)
		text += fmt.Sprintf("\nAfter %s more tokens the database had %s more, and Writ %s in memory (%s before); it issued %s tokens/s then, %s before them. "+
			"The journal had %.0f bytes more for each token: %.1f GB for 10 000 000, in files that may be removed.\n",
			thousands(i.tokens), exactBytes(i.databaseAfter-i.databaseBefore), megabytes(i.memoryNow), megabytes(i.memoryBefore), whole(i.after), whole(i.before), each, each*1e7/1e9)
	}
	return text
}

// exactBytes writes a small number of bytes exactly.
func exactBytes(n int64) string { return thousands(int(n)) + " bytes" }

// operatorTable is the admin API with many clients.
func (b *bench) operatorTable() string {
	if len(b.operated) == 0 {
		return ""
	}
	t := table{head: []string{"database", "clients", "first page", "page in the middle", "search for one", "plan of", "plan takes", "tokens, 1 000 asking, to 10 clients", "all asking", "memory, 1 000 asking", "all asking"}}
	for _, o := range b.operated {
		t.add(o.database, thousands(o.clients), millis(o.first), millis(o.page), millis(o.search), thousands(o.declared)+" clients", millis(o.plan), ratio(o.some.ratio), ratio(o.all.ratio), megabytes(o.usual), megabytes(o.memory))
	}
	return t.String()
}
