package slowhash

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// What a real Hydra keeps of known secrets: billing of the two exports in ../importer/testdata.
const (
	hydraPBKDF2 = "$pbkdf2-sha256$i=25000,l=32$xqkGYa9OYhwI7JG1sHdLdg$Nv1PJzOQBKt3H9MPWHRQRiQ89UIDiN0rbJLoTrS2Y7U"
	hydraBcrypt = "$2a$10$wTnirIZyEMgy3D.56N1.SON0xUM/UevX65FMVaTSRVKeKKGRDYSui"
)

func TestVerify(t *testing.T) {
	ours, err := New("something short")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, hash, secret string
		work               Work
	}{
		{"Hydra's PBKDF2", hydraPBKDF2, "correct horse battery staple pbkdf2", Work{Iterations: 25_000}},
		{"Hydra's bcrypt", hydraBcrypt, "correct horse battery staple bcrypt", Work{Rounds: 1024}},
		{"ours", ours, "something short", Work{Iterations: Iterations}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, err := Parse(test.hash)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse(h.String())
			if err != nil || again.String() != h.String() {
				t.Errorf("as it is kept: got %v %v, want the same", again, err)
			}
			if !again.Verify(test.secret) {
				t.Error("the secret is not good")
			}
			for _, wrong := range []string{"", test.secret + "x"} {
				if h.Verify(wrong) {
					t.Errorf("%q is good", wrong)
				}
			}
			if got := h.Work(); got != test.work {
				t.Errorf("work: got %v, want %v", got, test.work)
			}
			if h.Ours() != (test.name == "ours") {
				t.Errorf("ours: got %v", h.Ours())
			}
		})
	}
	if (Hash{}).Verify("") {
		t.Error("the zero value verifies nothing")
	}
}

// TestBcryptWholeSecret: bcrypt alone takes other secrets for the same: with more behind the 72nd byte, or said twice with
// a NUL between.
func TestBcryptWholeSecret(t *testing.T) {
	hash := func(secret string) Hash {
		text, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		h, err := Parse(string(text))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	long := strings.Repeat("x", 72)
	if h := hash(long); !h.Verify(long) || h.Verify(long+"y") {
		t.Error("a secret that goes on behind the 72nd byte is taken for the one that ends there")
	}
	if h := hash("a"); !h.Verify("a") || h.Verify("a\x00a") {
		t.Error("a secret with a NUL is taken for its first part")
	}
}

func TestParse(t *testing.T) {
	const salt, key = "xqkGYa9OYhwI7JG1sHdLdg", "Nv1PJzOQBKt3H9MPWHRQRiQ89UIDiN0rbJLoTrS2Y7U"
	costly, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		text string
		want error
	}{
		{"", ErrUnknown},
		{"secret in clear", ErrUnknown},
		{"sha256:n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg", ErrUnknown},
		{"$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", ErrUnknown},
		{"pbkdf2-sha256:i=25000,l=32$" + salt + "$" + key, nil},
		{"pbkdf2-sha256:i=600001,l=32$" + salt + "$" + key, ErrCostly},
		{"pbkdf2-sha256:i=99999999999999999999,l=32$" + salt + "$" + key, ErrMalformed},
		{"pbkdf2-sha256:i=0,l=32$" + salt + "$" + key, ErrMalformed},
		{"pbkdf2-sha256:i=-1,l=32$" + salt + "$" + key, ErrMalformed},
		{"pbkdf2-sha256:i=25000,l=31$" + salt + "$" + key, ErrMalformed},
		{"pbkdf2-sha256:i=25000,l=0$" + salt + "$", ErrMalformed},
		{"pbkdf2-sha256:i=25000,l=32$$" + key, ErrMalformed},
		{"pbkdf2-sha256:i=25000,l=32$" + salt, ErrMalformed},
		{"pbkdf2-sha256:i=25000,l=32$" + salt + "$" + key + "$x", ErrMalformed},
		{"bcrypt:" + string(costly), nil},
		{strings.Replace(string(costly), "$04$", "$13$", 1), ErrCostly},
		{strings.Replace(string(costly), "$04$", "$31$", 1), ErrCostly},
		{strings.Replace(string(costly), "$04$", "$99$", 1), ErrMalformed},
		{strings.Replace(string(costly), "$2a$", "$2x$", 1), ErrMalformed}, // of the one with the bug
		{string(costly) + "x", ErrMalformed},
		{string(costly)[:59] + "!", ErrMalformed},
	} {
		if _, err := Parse(test.text); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.text, err, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(hydraPBKDF2)
	f.Add(hydraBcrypt)
	f.Fuzz(func(t *testing.T, text string) {
		h, err := Parse(text)
		if err != nil {
			return
		}
		if w := h.Work(); w.Iterations > MaxIterations || w.Rounds > 1<<MaxCost || w == (Work{}) {
			t.Errorf("%q is %v of work", text, w)
		}
		if again, err := Parse(h.String()); err != nil || again.Work() != h.Work() {
			t.Errorf("%q is kept as %q, which reads as %v %v", text, h, again, err)
		}
	})
}

func TestGenerated(t *testing.T) {
	for secret, want := range map[string]bool{
		"htoBR8PET.NgtqcORvFAfJ4Eki":            true, // by Hydra
		"noyW1xO50CD1EM8zTqjRYsjugV":            true,
		"9Fm3nVsKq2Xw7LtB4RzYc8HdPj1GaE6u":      true, // as Keycloak makes them
		"5f4dcc3b5aa765d61d8327deb882cf99":      true,
		"u7-kP_x2Vq9.Zs4T~bN8wLc3Rf":            true,
		"":                                      false,
		"correct horse battery staple pbkdf2":   false,
		"Correct-Horse-Battery-Staple-2024xyz":  false,
		"correcthorsebatterystaplecorrecthorse": false,
		"0e37df36-f698-11e6-8dd4-cb9ced3df976":  false, // a UUID has 122 bits at most
		"00000000000000000000000000000000":      false,
		"aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3":        false,
		"12345678901234567890123456789012":      false,
		"s3cret-web-app-for-users":              false,
		"aB3dE5gH7j":                            false, // too short
		"pässw0rD1pässw0rD2pässw0rD3xyz":        false,
	} {
		if got := Generated(secret); got != want {
			t.Errorf("%q: got %v, want %v", secret, got, want)
		}
		kept, err := Keep(secret)
		if err != nil || strings.HasPrefix(kept, "sha256:") != want || strings.HasPrefix(kept, pbkdf2Prefix) == want {
			t.Errorf("%q is kept as %s, %v", secret, kept, err)
		}
	}
}

// TestWork: what is done for nothing is a real comparison, of each cost that a hash can have; one with a damaged hash would be
// over at once, and tell who has none.
func TestWork(t *testing.T) {
	for cost := bcrypt.MinCost; cost <= 6; cost++ {
		if err := idle(cost, "secret"); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			t.Errorf("cost %d: got %v, want a comparison", cost, err)
		}
	}
	Work{Iterations: 10, Rounds: 48}.Do("secret")
	sum := Work{Iterations: 30}.Or(Work{Iterations: 10, Rounds: 4096}).Minus(Work{Iterations: 10, Rounds: 1024})
	if want := (Work{Iterations: 20, Rounds: 3072}); sum != want || sum.Plus(Work{Rounds: 1024}) != (Work{20, 4096}) {
		t.Errorf("got %v, want %v", sum, want)
	}
	if (Work{Iterations: 1}).Minus(Work{Iterations: 2, Rounds: 1}) != (Work{}) {
		t.Error("work done in excess is owed to nobody")
	}
}
