// Command orders-api is an API of one route that takes Writ's tokens: GET /orders needs the scope orders:read.
//
// WRIT_ISSUER and WRIT_RESOURCE say whose tokens and for which audience; ADDR where to listen.
package main

import (
	"cmp"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/writ-auth/writ/resource"
)

func main() {
	api, err := newAPI(os.Getenv("WRIT_ISSUER"), os.Getenv("WRIT_RESOURCE"))
	if err != nil {
		log.Fatal(err)
	}
	address := cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8086")
	log.Printf("http://%s/orders", address)
	log.Fatal(http.ListenAndServe(address, api)) //nolint:gosec // an example on loopback; a service sets timeouts
}

func newAPI(issuer, audience string) (http.Handler, error) {
	verifier, err := resource.NewVerifier(resource.Config{Issuer: issuer, Audience: audience})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders", verifier.Require("orders:read").Func(orders))
	return mux, nil
}

func orders(w http.ResponseWriter, r *http.Request) {
	token := resource.FromContext(r.Context())
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"orders":[{"id":"1"}],"for":%q}`+"\n", token.ClientID)
}
