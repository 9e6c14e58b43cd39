package server

import (
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
)

// journalMetrics are of the journal's disk.
type journalMetrics struct {
	group, took prometheus.Histogram
	counted     prometheus.Counter
	failed      prometheus.Counter
}

func newJournalMetrics(m *metrics) *journalMetrics {
	return &journalMetrics{
		group: m.histogram("writ_journal_group_events", "Events that were made durable by one write.", []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 1024}),
		took: m.histogram("writ_journal_fsync_seconds", "Time to write a group of events and to make it durable. No token leaves before.",
			[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .9}),
		counted: m.counter("writ_journal_counted_refusals_total", "Refusals of a flood, for which the journal has a number in place of a line each."),
		failed:  m.counter("writ_journal_failures_total", "Groups of events that could not be written. Their requests got 503."),
	}
}

func (j *journalMetrics) observe(c audit.Commit) {
	if c.Err != nil {
		j.failed.Inc()
		return
	}
	j.group.Observe(float64(c.Events))
	j.took.Observe(c.Took.Seconds())
	j.counted.Add(float64(c.Counted))
}

// labelAlgorithm is of the keys of the ring.
var labelAlgorithm = label{"algorithm", append([]string{keyring.Sealing}, jose.Algorithms...)}

// registerMetrics adds what is looked up when somebody asks. It runs when everything is open.
func (s *Server) registerMetrics(version string) {
	m := s.metrics
	one := func(value func() float64) func(func(float64, ...string)) {
		return func(tell func(float64, ...string)) { tell(value()) }
	}
	m.gauge("writ_build_info", "1. The labels say what runs.", []label{{"version", []string{"that of the program"}}, {"go", []string{"that of Go"}}},
		func(tell func(float64, ...string)) { tell(1, versionOr(version), runtime.Version()) })
	m.gauge("writ_ready", "1 while /readyz says that this node should get requests.", nil, one(func() float64 {
		if _, status := s.health(); status != 200 {
			return 0
		}
		return 1
	}))
	m.gauge("writ_poll_age_seconds", "How long ago the store last told what is in it. Above 900 no token is issued.", nil,
		one(func() float64 { return s.now().Sub(time.Unix(0, s.polled.Load())).Seconds() }))
	m.gauge("writ_journal_failing", "1 while the journal cannot be written, and no token is issued.", nil, one(func() float64 {
		if s.journal.Err() != nil {
			return 1
		}
		return 0
	}))
	m.gauge("writ_signatures_waiting", "Tokens that wait for a processor to sign them. When the last of them would wait for more than 100 ms, further requests for tokens get 503.", nil,
		one(func() float64 { return float64(s.authority.Waiting()) }))
	m.count("writ_panics_total", "Requests that ended in a panic, which is always a bug.", nil, one(func() float64 { return float64(s.panics.Load()) }))
	m.gauge("writ_credentials_expiring", "Secrets and keys of clients that expire within so many days. Those that were rotated out, and that nobody uses any more, are left out. Read in the background: a change shows within half an hour, and with a million clients within an hour.",
		[]label{labelCredential, labelWithin}, m.expiring.tell)
	s.registerKeys()
	s.registerListeners()
}

func versionOr(version string) string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

func (s *Server) registerKeys() {
	m := s.metrics
	signing := func(of func(signFrom, signUntil time.Time) float64) func(func(float64, ...string)) {
		return func(tell func(float64, ...string)) {
			for _, key := range s.ring.List() {
				if s.ring.SignsNow(key) && slices.Contains(labelAlgorithm.values, key.Algorithm) {
					tell(of(key.SignFrom, key.SignUntil), key.Algorithm)
				}
			}
		}
	}
	m.gauge("writ_signing_key_age_seconds", "How long the key has signed that signs now; XC20P is what seals opaque tokens.", []label{labelAlgorithm},
		signing(func(from, _ time.Time) float64 { return s.now().Sub(from).Seconds() }))
	m.gauge("writ_signing_key_rotation_timestamp_seconds", "When the next key takes over, in Unix time.", []label{labelAlgorithm},
		signing(func(_, until time.Time) float64 { return float64(until.Unix()) }))
	m.gauge("writ_keys_published", "Keys in the key set. Validators take 32.", nil,
		func(tell func(float64, ...string)) { tell(float64(len(s.ring.Keys()))) })
}

func (s *Server) registerListeners() {
	m := s.metrics
	each := func(of func(*listener) float64) func(func(float64, ...string)) {
		return func(tell func(float64, ...string)) {
			for name, l := range s.named() {
				tell(of(l), name)
			}
		}
	}
	labels := []label{labelListener}
	m.gauge("writ_http_requests_in_flight", "Requests that are being received or answered.", labels, each(func(l *listener) float64 { return float64(l.traffic.inFlight.Load()) }))
	m.gauge("writ_http_connections", "Open connections.", labels, each(func(l *listener) float64 { return float64(l.connections()) }))
	m.count("writ_http_connections_refused_total", "Connections that were closed at once, as their address had its share (limits.connections).", labels,
		each(func(l *listener) float64 { return float64(l.refused.Load()) }))
	m.count("writ_http_connections_evicted_total", "Idle connections that were closed to make room for new ones.", labels,
		each(func(l *listener) float64 { return float64(l.evicted.Load()) }))
	m.gauge("writ_tls_certificate_expiry_timestamp_seconds", "When the certificate of a listener ends, in Unix time; nothing for one without TLS.", labels,
		func(tell func(float64, ...string)) {
			for name, l := range s.named() {
				if l.certificate != nil {
					tell(float64(l.certificate.current.Load().Leaf.NotAfter.Unix()), name)
				}
			}
		})
}
