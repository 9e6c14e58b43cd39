package main

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/writ-auth/writ/resource"
)

// The scopes of the demo API.
const (
	scopeRead  = "orders:read"
	scopeWrite = "orders:write"
)

// An order is what the demo API has.
type order struct {
	ID   int    `json:"id"`
	Item string `json:"item"`
	By   string `json:"ordered_by"`
}

// newDemoAPI returns an API as a user of package resource would write it: two routes, each with the scope it needs.
func newDemoAPI(verifier *resource.Verifier) http.Handler {
	api := &demoAPI{orders: []order{{ID: 1, Item: "parchment", By: "the house"}, {ID: 2, Item: "ink", By: "the house"}}}
	mux := http.NewServeMux()
	mux.Handle("GET /orders", verifier.Require(scopeRead).Func(api.list))
	mux.Handle("POST /orders", verifier.Require(scopeWrite).Func(api.create))
	mux.Handle("GET /.well-known/oauth-protected-resource", verifier.MetadataHandler())
	return mux
}

type demoAPI struct {
	mu     sync.Mutex
	orders []order // under mu
}

func (a *demoAPI) list(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	answer(w, http.StatusOK, a.orders)
}

// maxOrders keeps a demo that is left running from growing.
const maxOrders = 1000

func (a *demoAPI) create(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Item string `json:"item"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&wanted); err != nil || wanted.Item == "" {
		answer(w, http.StatusBadRequest, map[string]string{"error": `send a JSON object such as {"item":"quill"}`})
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.orders) >= maxOrders {
		answer(w, http.StatusConflict, map[string]string{"error": "this demo has orders enough"})
		return
	}
	made := order{ID: len(a.orders) + 1, Item: wanted.Item, By: resource.FromContext(r.Context()).ClientID}
	a.orders = append(a.orders, made)
	answer(w, http.StatusCreated, made)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a caller who has gone away is no error of ours
}
