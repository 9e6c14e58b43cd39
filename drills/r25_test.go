//go:build drills

package drills

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// TestDrillR25 guesses secrets, a thousand a second from two hundred addresses: of a client with a generated secret, of one whose
// secret another server hashed slowly, and of nobody.
func TestDrillR25(t *testing.T) {
	d := begin(t, "R25", "1000 rps of wrong secrets for real and unknown clients, an imported one among them: who has the right secret has a p99 < 3x (of 2.5 ms at least) and 100 % success")
	n := newNode(t, "writ").inMemory()
	n.start()
	o := operate(t, n, n)
	o.resource(api, "ES256")
	client := o.client("billing", api, nil)
	hash, err := bcrypt.GenerateFromPassword([]byte("an old secret of another server"), 10)
	if err != nil {
		t.Fatal(err)
	}
	imported := o.importClient("legacy", api, string(hash))
	honest := keepAlive(64, nil)
	ask := func(int) answer { return send(honest, n.tokenOf(client)) }
	calm := during(100, ask, func() { time.Sleep(4 * time.Second) })

	var guessers []*http.Client
	for i := range 200 {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 10, byte(i+1))}}
		guessers = append(guessers, keepAlive(8, dialer.DialContext))
	}
	guess := start(1000, func(i int) answer {
		victim := []string{client.ID, imported.ID, fmt.Sprint("nobody-", i)}[i%3]
		return send(guessers[i%len(guessers)], n.tokenOf(party{ID: victim, Secret: fmt.Sprint("guess-", i)}))
	})
	time.Sleep(time.Second)
	busy := during(100, ask, func() { time.Sleep(8 * time.Second) })
	guesses := guess.end()
	d.note("guesses", guesses.classes())
	d.want("guesses_accepted", len(guesses.of("200")), len(guesses.of("200")) == 0)
	d.note("valid", busy.classes())
	d.want("valid_not_200", busy.bad("200"), busy.bad("200") == 0)
	d.note("valid_p99_before", calm.percentile(.99))
	d.want("valid_p99", busy.percentile(.99), busy.percentile(.99) < 3*max(calm.percentile(.99), 2500*time.Microsecond))
}

// importClient takes over a client with the hash of its secret.
func (o *operator) importClient(name, uri, hash string) party {
	o.t.Helper()
	client := clientOf(name, uri, map[string]any{"client_id": name, "client_secret_hash": hash})
	o.call(http.MethodPost, "/import", map[string]any{"clients": []any{client}}, nil)
	return party{ID: name}
}
