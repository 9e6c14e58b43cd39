package server

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// metrics are what a node tells about itself at /metrics on the admin listener, for Prometheus.
//
// What is counted exists from the start, a series for each combination of label values there can be: they come from our own
// tables and never from a request, so a flood of made-up clients, paths or user agents adds none (CVE-2026-49835), and the
// first event of a kind shows as a rise from 0. To count is to compare with what was counted last, or to look into a map that never
// changes, and to add atomically.
type metrics struct {
	registry *prometheus.Registry
	defined  []definition // for the documentation

	traffic   *trafficMetrics
	decisions *decisionMetrics
	store     *storeMetrics
	journal   *journalMetrics
	expiring  *expiring // nil until the store is open

	gathering sync.Mutex // one scrape at a time: who asks again and again slows only that down
}

// A definition is what the documentation says of a metric.
type definition struct {
	name, kind, help string
	labels           []label
}

// A label has a name and all values that it can have.
type label struct {
	name   string
	values []string
}

// other is the value of a label for what is in no table of ours.
const other = "other"

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.traffic, m.decisions = newTrafficMetrics(m), newDecisionMetrics(m)
	m.store, m.journal = newStoreMetrics(m), newJournalMetrics(m)
	return m
}

func (m *metrics) define(kind, name, help string, labels []label) {
	m.defined = append(m.defined, definition{name, kind, help, labels})
}

// values are those of the labels of a series, in their order; "" for labels that there are not.
type values [4]string

// A family is the counters of one name. They are numbers until somebody asks: with labels of their own, as the library keeps
// counters, they were a fifth of all that the collector has to look through.
type family struct {
	series map[values]*series
	other  *series // of every combination that is not in series
	last   atomic.Pointer[series]
}

// A series counts one combination. Most of what is counted is of the one that was counted before: to compare it costs a fraction
// of what it takes to find one.
type series struct {
	of values
	n  atomic.Int64
}

// family makes the counters for all combinations of label values, or for those that are named.
func (m *metrics) family(name, help string, labels []label, combinations ...values) *family {
	var rest values
	for i := range labels {
		rest[i] = other
	}
	if len(combinations) == 0 {
		combinations = product(labels)
	}
	f := &family{series: map[values]*series{}}
	all := make([]series, 0, len(combinations)+1) // one object, and never longer
	for _, v := range append(combinations, rest) {
		if f.series[v] == nil {
			all = append(all, series{of: v})
			f.series[v] = &all[len(all)-1]
		}
	}
	f.other = f.series[rest]
	m.count(name, help, labels, func(tell func(float64, ...string)) {
		for i := range all {
			tell(float64(all[i].n.Load()), all[i].of[:len(labels)]...)
		}
	})
	return f
}

// product returns all combinations of the values of labels.
func product(labels []label) []values {
	all := []values{{}}
	for i, l := range labels {
		var longer []values
		for _, v := range all {
			for _, value := range l.values {
				v[i] = value
				longer = append(longer, v)
			}
		}
		all = longer
	}
	return all
}

func (f *family) inc(of ...string) {
	var v values
	copy(v[:], of)
	one := f.last.Load()
	if one == nil || one.of != v {
		if one = f.series[v]; one == nil {
			one = f.other
		}
		f.last.Store(one)
	}
	one.n.Add(1)
}

// counter makes a counter without labels.
func (m *metrics) counter(name, help string) prometheus.Counter {
	m.define("counter", name, help, nil)
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

// histograms makes a histogram for each value of a label, and one for whatever is no value of it.
func (m *metrics) histograms(name, help string, l label, buckets []float64) map[string]prometheus.Observer {
	m.define("histogram", name, help, []label{l})
	vector := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{l.name})
	m.registry.MustRegister(vector)
	made := map[string]prometheus.Observer{}
	for _, value := range l.values {
		made[value] = vector.WithLabelValues(value)
	}
	return made
}

// histogram makes one without labels.
func (m *metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	m.define("histogram", name, help, nil)
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

// A reading is a metric that is looked up when it is asked for.
type reading struct {
	description *prometheus.Desc
	kind        prometheus.ValueType
	look        func(tell func(value float64, labels ...string))
}

// Describe implements prometheus.Collector.
func (r reading) Describe(to chan<- *prometheus.Desc) { to <- r.description }

// Collect implements prometheus.Collector.
func (r reading) Collect(to chan<- prometheus.Metric) {
	r.look(func(value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(r.description, r.kind, value, labels...)
	})
}

// gauge makes a gauge that is looked up.
func (m *metrics) gauge(name, help string, labels []label, look func(tell func(float64, ...string))) {
	m.define("gauge", name, help, labels)
	m.look(prometheus.GaugeValue, name, help, labels, look)
}

// count makes a counter that somebody else keeps.
func (m *metrics) count(name, help string, labels []label, look func(tell func(float64, ...string))) {
	m.define("counter", name, help, labels)
	m.look(prometheus.CounterValue, name, help, labels, look)
}

func (m *metrics) look(kind prometheus.ValueType, name, help string, labels []label, look func(tell func(float64, ...string))) {
	var names []string
	for _, l := range labels {
		names = append(names, l.name)
	}
	m.registry.MustRegister(reading{prometheus.NewDesc(name, help, names, nil), kind, look})
}

// handleMetrics answers with the text format of Prometheus.
func (s *Server) handleMetrics(w http.ResponseWriter, _ *http.Request) {
	s.metrics.gathering.Lock()
	defer s.metrics.gathering.Unlock()
	families, err := s.metrics.registry.Gather()
	if err != nil { // a part is missing; the rest is worth having
		s.logger.Error("gathering metrics", "error", err)
	}
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	w.Header().Set("Content-Type", string(format))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	encoder := expfmt.NewEncoder(w, format)
	for _, f := range families {
		if encoder.Encode(f) != nil {
			return // the caller has gone away
		}
	}
}

// metricsDoc returns docs/metrics.md.
func metricsDoc(defined []definition) string {
	var b strings.Builder
	b.WriteString(metricsDocHead)
	defined = slices.SortedFunc(slices.Values(defined), func(a, b definition) int { return strings.Compare(a.name, b.name) })
	for _, d := range defined {
		b.WriteString("\n### " + d.name + "\n\n" + d.kind + ". " + d.help + "\n")
		for _, l := range d.labels {
			b.WriteString("\n- `" + l.name + "`: " + strings.Join(l.values, ", ") + "\n")
		}
	}
	return b.String()
}

const metricsDocHead = `# Metrics

A node tells Prometheus about itself at ` + "`/metrics`" + ` on the admin listener, and nowhere else: the public listeners answer 404. Beside what is
listed here it tells the ` + "`go_*`" + ` and ` + "`process_*`" + ` metrics of the Prometheus library. ` + "`deploy/grafana/writ.json`" + ` is a dashboard of them.

` + "```yaml" + `
scrape_configs:
  - job_name: writ
    static_configs:
      - targets: ["127.0.0.1:8081"]   # admin.listen
` + "```" + `

There is no label for a client, an address or a path that somebody made up: all values that a label can have are listed here, and what is
none of them is counted as ` + "`other`" + `. Which client was refused, and why, is in the journal (` + "`DATA/audit`" + `).

This file is made from internal/server/metrics*.go: ` + "`UPDATE=1 go test -run TestMetricsDocIsUpToDate ./internal/server`" + `.
`
