package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/adminapi"
	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/endpoint"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/resource"
)

// handle puts the handlers on the listeners. The public one has the OAuth endpoints and the metadata of the admin API, which
// belongs to the issuer's host (RFC 9728, 3.1); the rest is on the admin listener.
func (s *Server) handle(context.Context) error {
	verifier, err := s.adminVerifier()
	if err != nil {
		return err
	}
	s.public.traffic, s.admin.traffic = s.metrics.traffic.public(s.issuer, s.issuer), s.metrics.traffic.private()
	f := front{
		proxies: s.config.proxies(),
		limits:  s.config.Limits, logger: s.logger, panics: &s.panics, draining: &s.draining,
		forms: s.config.bodies(s.issuer), traffic: s.public.traffic, full: s.metrics.decisions, pace: s.pace, tracing: s.tracing, spans: spansOf(s.issuer), overloaded: forTokens(s.issuer, s.authority.Overloaded),
	}
	oauth := endpoint.New(s.authority, endpoint.Options{
		Logger: s.logger, RequestID: RequestID, Observe: s.metrics.decisions.observe, RotateSecret: s.rotateSecret, Registry: s.registrar(),
		Shed: f.overflow(causeHashes).shed,
	})
	metadata := verifier.MetadataHandler()
	s.public.http.Handler = f.public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == verifier.MetadataPath() {
			metadata.ServeHTTP(w, r)
			return
		}
		oauth.ServeHTTP(w, r)
	}))

	s.handleMTLS()
	f.overloaded, f.traffic, f.spans = nil, s.admin.traffic, map[string]string{adminapi.Prefix: onAdmin}
	trail, err := s.audit()
	if err != nil {
		return err
	}
	api := adminapi.New(s.registry, verifier, adminapi.Options{Logger: s.logger, Audit: trail, Explain: s.explain, RequestID: RequestID})
	s.admin.http.Handler = f.admin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, adminapi.Prefix+"/"):
			api.ServeHTTP(w, r)
		case r.URL.Path == verifier.MetadataPath():
			metadata.ServeHTTP(w, r)
		case r.URL.Path == "/healthz":
			getOnly(w, r, s.alive)
		case r.URL.Path == "/readyz":
			getOnly(w, r, s.ready)
		case r.URL.Path == pathMetrics:
			getOnly(w, r, s.handleMetrics)
		default:
			refuse(w, http.StatusNotFound, "not_found", "there is nothing here")
		}
	}))
	return nil
}

// adminVerifier judges the tokens of operators. No certificate is asked for on the admin listener: a token that must be bound
// must be bound to a DPoP key.
func (s *Server) adminVerifier() (*resource.Verifier, error) {
	config := resource.Config{
		Issuer: s.issuer, Audience: registry.AdminResource(s.issuer), Scopes: registry.AdminScopes(),
		Keys: s.ring, Now: s.now, Logger: s.logger,
		ExternalURL: s.adminURL, RequireDPoP: s.config.fapi2(), Replays: adminReplays{s.store},
	}
	if s.config.DPoP.RequireNonce {
		config.NonceKey = resource.Secret(base64.RawURLEncoding.EncodeToString(s.ring.Derive("admin api nonce")))
	}
	return resource.NewVerifier(config)
}

// adminReplays are the DPoP proofs that were used at the admin API of any node, and before a restart.
type adminReplays struct{ store store.Store }

// UseOnce implements resource.ReplayStore.
func (r adminReplays) UseOnce(ctx context.Context, id string, until time.Time) error {
	err := r.store.UseOnce(ctx, "admin:"+id, until)
	if errors.Is(err, store.ErrExists) {
		return resource.ErrReplayed
	}
	return err
}

// handleMTLS puts the OAuth endpoints on the listener for client certificates.
func (s *Server) handleMTLS() {
	if s.mtls == nil {
		return
	}
	from := s.config.MTLS.ClientCertFrom
	s.mtls.traffic = s.metrics.traffic.public(s.issuer, s.mtlsURL)
	f := front{
		proxies: s.config.mtlsProxies(), chains: from,
		limits: s.config.Limits, logger: s.logger, panics: &s.panics, draining: &s.draining,
		forms: formsOf(s.mtlsURL), traffic: s.mtls.traffic, full: s.metrics.decisions, pace: s.pace, tracing: s.tracing, spans: spansOf(s.mtlsURL), overloaded: forTokens(s.mtlsURL, s.authority.Overloaded),
	}
	s.mtls.http.Handler = f.public(endpoint.New(s.authority, endpoint.Options{
		Logger: s.logger, RequestID: RequestID, Base: s.mtlsURL, Certificates: certificatesFrom(from), Observe: s.metrics.decisions.observe,
		Registry: s.registrar(), Shed: f.overflow(causeHashes).shed,
	}))
}

func getOnly(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "invalid_request", "this method is not allowed here")
		return
	}
	handle(w, r)
}

// alive says that the process answers, whatever else is wrong: starting it again would mend nothing (OP-19).
func (s *Server) alive(w http.ResponseWriter, _ *http.Request) {
	answerHealth(w, http.StatusOK, health{Status: "ok"})
}

// A health is the answer of /healthz and /readyz: no addresses, no error texts, nothing that helps an attacker.
type health struct {
	Status string `json:"status"`            // ok, degraded, failing or stopping
	Store  string `json:"store,omitempty"`   // ok or unreachable
	Audit  string `json:"journal,omitempty"` // ok or failing
}

// missedPolls is for how long no poll may succeed before the store counts as unreachable.
const missedPolls = 2 * time.Second

// ready says whether tokens are issued here. Without the store they still are for a while, and a load balancer that took
// every node away at once would make an outage of it: then the answer is 200 with the status degraded. Without the journal
// no token leaves.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	h, status := s.health()
	answerHealth(w, status, h)
}

func (s *Server) health() (health, int) {
	h, status := health{Status: "ok", Store: "ok", Audit: "ok"}, http.StatusOK
	away := s.now().Sub(time.Unix(0, s.polled.Load()))
	if away > missedPolls {
		h.Status, h.Store = "degraded", "unreachable"
	}
	if s.journal.Err() != nil {
		h.Status, h.Audit, status = "failing", "failing", http.StatusServiceUnavailable
	}
	if away > authority.MaxStale {
		h.Status, status = "failing", http.StatusServiceUnavailable
	}
	if s.draining.Load() {
		h.Status, status = "stopping", http.StatusServiceUnavailable
	}
	return h, status
}

func answerHealth(w http.ResponseWriter, status int, h health) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(h) // a caller who has gone away is no error of ours
}
