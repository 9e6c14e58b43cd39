package store

import "testing"

func TestSameSecret(t *testing.T) {
	t.Parallel()
	hash := HashSecret("right")
	for _, test := range []struct {
		hash, secret string
		want         bool
	}{
		{hash, "right", true}, {hash, "wrong", false}, {hash, "", false}, {hash[:len(hash)-1], "right", false}, {"right", "right", false},
		{"", "", false}, {"", "right", false},
	} {
		if got := SameSecret(test.hash, test.secret); got != test.want {
			t.Errorf("%q of %q: got %t", test.secret, test.hash, got)
		}
	}
}
