package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/writ-auth/writ/internal/adminapi"
	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/store"
)

// A tracing tells a collector what a request waited for: one span for the request, one each for what the store was asked, the
// signature and the journal. nil traces nothing, and costs nothing.
//
// A span has names and numbers of ours only: the endpoint, the status, the request's ID, under which the log and the journal
// have the rest. Nothing that a caller sent is in it, so there can be no secret in it.
type tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	callers  propagation.TraceContext
}

// newTracing returns nil without an endpoint.
func newTracing(ctx context.Context, config Tracing, version string, logger *slog.Logger) (*tracing, error) {
	if config.Endpoint == "" {
		return nil, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(config.Endpoint, "/")+"/v1/traces"), otlptracehttp.WithTimeout(5*time.Second))
	if err != nil {
		return nil, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Debug("traces are not taken", "error", err) }))
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter), // at most 2048 spans wait; what comes behind them is dropped, and holds nobody up
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "writ"), attribute.String("service.version", version))),
		// By our own dice: a stranger who sends a traceparent decides what its trace is called, not how much is sent of it.
		sdktrace.WithSampler(sdktrace.TraceIDRatioBased(1/float64(max(1, config.Sample)))),
		sdktrace.WithRawSpanLimits(sdktrace.SpanLimits{AttributeValueLengthLimit: 128, AttributeCountLimit: 8, LinkCountLimit: 1}),
	)
	return &tracing{provider: provider, tracer: provider.Tracer("github.com/writ-auth/writ")}, nil
}

func (s *Server) startTracing(ctx context.Context, version string) (err error) {
	if s.tracing, err = newTracing(ctx, s.config.Tracing, version, s.logger); err != nil {
		return fmt.Errorf("server: tracing: %w", err)
	}
	if s.tracing != nil {
		s.opened = append(s.opened, s.tracing)
	}
	return nil
}

// spansOf names the spans of the endpoints behind a URL that decide something.
func spansOf(base string) map[string]string {
	base = pathOf(base)
	return map[string]string{base + authority.PathToken: onToken, base + authority.PathIntrospect: onAsk, base + authority.PathRevoke: onRevoke}
}

// Close sends what is left.
func (t *tracing) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return t.provider.Shutdown(ctx)
}

// requests makes a span of each request to an endpoint that decides something. It continues the trace of a caller that sends a
// traceparent (W3C Trace Context): that only links.
func (t *tracing) requests(names map[string]string) middleware {
	return func(next http.Handler) http.Handler {
		if t == nil {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name, known := names[r.URL.Path]
			if !known && strings.HasPrefix(r.URL.Path, adminapi.Prefix+"/") {
				name, known = names[adminapi.Prefix], names[adminapi.Prefix] != ""
			}
			if !known {
				next.ServeHTTP(w, r)
				return
			}
			ctx := t.callers.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
			ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("writ.request_id", RequestID(r))))
			defer span.End()
			next.ServeHTTP(w, r.WithContext(ctx))
			if rec, is := w.(*recorder); is {
				span.SetAttributes(attribute.Int("http.response.status_code", rec.status))
				if rec.status >= http.StatusInternalServerError {
					span.SetStatus(codes.Error, "")
				}
			}
		})
	}
}

// past makes a span of something that has just ended, if the request that it was for is traced.
func (t *tracing) past(ctx context.Context, name string, began time.Time, err error) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(began))
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrExists) {
		span.SetStatus(codes.Error, "") // the log has why, under the request's ID
	}
	span.End()
}

// step is past for what authority tells of.
func (t *tracing) step() func(ctx context.Context, name string, began time.Time, err error) {
	if t == nil {
		return nil
	}
	return t.past
}
