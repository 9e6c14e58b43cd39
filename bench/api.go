package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/resource"
)

// serveAPI is an API of one route, which is there bare, behind a handler that verifies one signature and nothing else, and
// behind package resource, with its cache and without.
func serveAPI(args []string) error {
	flags := flag.NewFlagSet("api", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "`ADDRESS`")
	issuer := flags.String("issuer", "", "`URL` of Writ")
	if err := flags.Parse(args); err != nil {
		return err
	}
	keys, err := keysOf(*issuer)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /bare", orders)
	for _, f := range formats {
		if f.algorithm == "" {
			continue
		}
		key, found := keys[f.algorithm]
		if !found {
			return fmt.Errorf("api: the issuer has no key for %s", f.algorithm)
		}
		mux.HandleFunc("GET /verify/"+f.name, verifying(key))
		for path, size := range map[string]int{"cached": 0, "uncached": -1} {
			verifier, err := resource.NewVerifier(resource.Config{Issuer: *issuer, Audience: f.audience(), CacheSize: size})
			if err != nil {
				return err
			}
			mux.Handle("GET /"+path+"/"+f.name, verifier.Require("read").Func(orders))
		}
	}
	return (&http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: time.Minute}).ListenAndServe()
}

// keysOf fetches the key set of an issuer, and returns a key by algorithm.
func keysOf(issuer string) (map[string]jose.Key, error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, issuer+"/jwks", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	keys, err := jose.ParseJWKS(body)
	if err != nil {
		return nil, err
	}
	byAlgorithm := map[string]jose.Key{}
	for _, key := range keys {
		byAlgorithm[key.Algorithm] = key
	}
	if len(byAlgorithm) == 0 {
		return nil, errors.New("api: the issuer publishes no key")
	}
	return byAlgorithm, nil
}

var ordersBody = []byte(`{"orders":[]}`)

func orders(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = contentType
	_, _ = w.Write(ordersBody)
}

// verifying is the limit of an API that remembers nothing.
func verifying(key jose.Key) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if claims, good := verified(token, "", key.Public); !ok || !good || until(claims) <= time.Now().Unix() {
			refuse(w)
			return
		}
		orders(w, r)
	}
}
