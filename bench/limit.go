package main

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"flag"
	"net/http"
	"strconv"
	"time"
)

// The one client of the limit server.
const (
	limitClient   = "bench-q7fragdafk"
	limitSecret   = "writ_cs_jaNiRaidWVCzeuMNyj7X24jis55BxJM6r2RDMvgq3y4qhLOg"
	limitIssuer   = "http://127.0.0.1:8080"
	limitAudience = "http://es256.example"
)

// A limit is what a token costs at least: one HTTP exchange, one comparison, one signature. It has no clients but one, no
// journal, no rotation, no rate limit, no log; and nothing that could be left out.
type limit struct {
	secret [sha256.Size]byte
	client *ecdsa.PublicKey // that signs assertions
	shown  [sha256.Size]byte
	now    func() time.Time
}

// serveLimit is the limit server: it takes the addresses to listen at, and the directory with what makePKI made.
func serveLimit(args []string) error {
	flags := flag.NewFlagSet("limit", flag.ContinueOnError)
	plain := flags.String("listen", "127.0.0.1:0", "`ADDRESS` for plain HTTP")
	vouched := flags.String("tls", "127.0.0.1:0", "`ADDRESS` for certificates of an authority")
	shown := flags.String("self-signed", "127.0.0.1:0", "`ADDRESS` for certificates of their own")
	dir := flags.String("pki", "", "`DIR` with keys and certificates")
	if err := flags.Parse(args); err != nil {
		return err
	}
	known, err := loadPKI(*dir)
	if err != nil {
		return err
	}
	l := &limit{
		secret: sha256.Sum256([]byte(limitSecret)), client: &known.clientKey.PublicKey,
		shown: sha256.Sum256(known.selfSigned.Certificate[0]), now: time.Now,
	}
	routes, err := l.routes()
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	serve := func(address string, config *tls.Config) {
		server := &http.Server{Addr: address, Handler: routes, TLSConfig: config, ReadHeaderTimeout: time.Minute}
		if config == nil {
			failed <- server.ListenAndServe()
			return
		}
		failed <- server.ListenAndServeTLS("", "")
	}
	go serve(*plain, nil)
	go serve(*vouched, &tls.Config{Certificates: known.server, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: known.authorities})
	go serve(*shown, &tls.Config{Certificates: known.server, ClientAuth: tls.RequireAnyClientCert})
	return <-failed
}

func (l *limit) routes() (http.Handler, error) {
	signers, err := newSigners()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for name, s := range signers {
		mux.HandleFunc("POST /token/"+name, l.token(s, l.basic))
	}
	es256 := signers["es256"]
	mux.HandleFunc("POST /post", l.token(es256, l.post))
	mux.HandleFunc("POST /assertion", l.token(es256, l.assertion))
	mux.HandleFunc("POST /certificate", l.token(es256, l.certificate))
	mux.HandleFunc("POST /self-signed", l.token(es256, l.selfSigned))
	mux.HandleFunc("POST /dpop", l.dpop(es256))
	mux.HandleFunc("POST /introspect/es256", l.introspect(es256))
	mux.HandleFunc("POST /introspect/none", l.introspectNothing)
	return mux, nil
}

// token answers a token request of a client that authenticates in one way.
func (l *limit) token(s *signer, authenticate func(*http.Request) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil || r.PostForm.Get("grant_type") != "client_credentials" || !authenticate(r) {
			refuse(w)
			return
		}
		l.answer(w, s, "Bearer", "")
	}
}

// answer writes the answer to a token request. confirmation is a claim, or "".
func (l *limit) answer(w http.ResponseWriter, s *signer, kind, confirmation string) {
	body := make([]byte, 0, 1024)
	body = append(body, `{"access_token":"`...)
	body = l.mint(body, s, confirmation)
	body = append(body, `","token_type":"`...)
	body = append(body, kind...)
	body = append(body, `","expires_in":3600,"scope":"read"}`...)
	write(w, body)
}

// mint appends an access token (RFC 9068) whose claims no encoder has seen, signed once.
func (l *limit) mint(dst []byte, s *signer, confirmation string) []byte {
	if s.sign == nil {
		return append(dst, s.header...) // the constant token
	}
	var id [16]byte
	rand.Read(id[:])
	now := l.now().Unix()
	claims := make([]byte, 0, 512)
	claims = append(claims, `{"iss":"`+limitIssuer+`","sub":"`+limitClient+`","client_id":"`+limitClient+`","aud":"`+limitAudience+`","exp":`...)
	claims = strconv.AppendInt(claims, now+3600, 10)
	claims = append(claims, `,"iat":`...)
	claims = strconv.AppendInt(claims, now, 10)
	claims = append(claims, `,"jti":"`...)
	claims = base64.RawURLEncoding.AppendEncode(claims, id[:])
	claims = append(claims, `","scope":"read"`...)
	claims = append(claims, confirmation...)
	claims = append(claims, '}')
	start := len(dst)
	dst = append(dst, s.header...)
	dst = append(dst, '.')
	dst = base64.RawURLEncoding.AppendEncode(dst, claims)
	signature := s.sign(dst[start:])
	dst = append(dst, '.')
	return base64.RawURLEncoding.AppendEncode(dst, signature)
}

// The standard headers of an answer (RFC 6749, 5.1), made once.
var (
	contentType  = []string{"application/json"}
	cacheControl = []string{"no-store"}
	pragma       = []string{"no-cache"}
)

func write(w http.ResponseWriter, body []byte) {
	header := w.Header()
	header["Content-Type"], header["Cache-Control"], header["Pragma"] = contentType, cacheControl, pragma
	_, _ = w.Write(body)
}

func refuse(w http.ResponseWriter) {
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
}

// basic is client_secret_basic: one SHA-256, compared in constant time.
func (l *limit) basic(r *http.Request) bool {
	id, secret, ok := r.BasicAuth()
	return ok && l.knows(id, secret)
}

// post is client_secret_post.
func (l *limit) post(r *http.Request) bool {
	return l.knows(r.PostForm.Get("client_id"), r.PostForm.Get("client_secret"))
}

func (l *limit) knows(id, secret string) bool {
	sum := sha256.Sum256([]byte(secret))
	return id == limitClient && subtle.ConstantTimeCompare(sum[:], l.secret[:]) == 1
}

// certificate is tls_client_auth: the handshake has verified the chain, and the name is the client's.
func (l *limit) certificate(r *http.Request) bool {
	return len(r.TLS.VerifiedChains) > 0 && r.PostForm.Get("client_id") == limitClient && r.TLS.PeerCertificates[0].VerifyHostname(clientName) == nil
}

// selfSigned is self_signed_tls_client_auth: the handshake has proved the key, and the certificate is the registered one.
func (l *limit) selfSigned(r *http.Request) bool {
	return r.PostForm.Get("client_id") == limitClient && sha256.Sum256(r.TLS.PeerCertificates[0].Raw) == l.shown
}
