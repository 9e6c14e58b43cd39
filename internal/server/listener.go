package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// A listener is one bound address and the HTTP server on it.
type listener struct {
	*gate
	http        *http.Server
	certificate *certificate // nil for plain HTTP
	traffic     *traffic     // on it; set with the handler
}

// bind takes the address. Connections wait from now on and are served by serve. from says which addresses bring many callers.
func bind(ctx context.Context, address string, pair *certificate, from proxies, limits Limits, logger *slog.Logger) (*listener, error) {
	var config net.ListenConfig
	bound, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	l := &listener{gate: newGate(bound, limits.Connections, from.bringMany), certificate: pair, http: newHTTPServer(limits, logger)}
	if pair != nil {
		l.http.TLSConfig = pair.config()
	}
	return l, nil
}

// newHTTPServer has a bound on everything that a peer can stretch. What it logs by itself is about single connections (a
// scanner's handshakes) and shows at level debug only.
func newHTTPServer(limits Limits, logger *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true) // over TLS; never h2c, whose upgrade reads a body before any limit applies
	return &http.Server{
		ReadHeaderTimeout: limits.HeaderTimeout.std(),
		ReadTimeout:       limits.BodyTimeout.std(),
		WriteTimeout:      limits.WriteTimeout.std(),
		IdleTimeout:       limits.IdleTimeout.std(),
		MaxHeaderBytes:    int(limits.Header),
		Protocols:         protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          32, // each costs a goroutine and a body; who asks for more at once opens connections
			MaxReadFrameSize:              16 << 10,
			MaxDecoderHeaderTableSize:     4 << 10,
			MaxReceiveBufferPerConnection: 256 << 10,
			MaxReceiveBufferPerStream:     64 << 10,
			SendPingTimeout:               limits.IdleTimeout.std(),
			PingTimeout:                   15 * time.Second,
			WriteByteTimeout:              limits.WriteTimeout.std(),
		},
		ConnContext: withMeter,
		ConnState: func(connection net.Conn, state http.ConnState) {
			if m := meteredBelow(connection); m != nil {
				m.gate.track(m, state)
			}
		},
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

func (l *listener) serve() error {
	if l.certificate != nil {
		return l.http.ServeTLS(l.gate, "", "")
	}
	return l.http.Serve(l.gate)
}

// url is the listener's own address as a client writes it: the name in configured, with the port that was bound.
func (l *listener) url(configured string) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return ownURL(configured, port, l.certificate != nil)
}

// ownURL is the address of a listener that is configured so, as a client writes it.
func ownURL(configured, port string, secure bool) string {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	host, _, _ := net.SplitHostPort(configured)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	if (scheme == "http" && port == "80") || (scheme == "https" && port == "443") {
		if net.ParseIP(host) != nil && net.ParseIP(host).To4() == nil {
			return scheme + "://[" + host + "]"
		}
		return scheme + "://" + host
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
