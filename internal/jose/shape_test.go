package jose

import (
	"bytes"
	"encoding/asn1"
	"math/big"
	"testing"
)

// FuzzFixedLength holds the reading of signatures in DER against encoding/asn1: what that does not write is an error, and
// what it writes is read the same.
func FuzzFixedLength(f *testing.F) {
	for _, numbers := range [][2]int64{{1, 2}, {0, 0}, {127, 128}, {255, 256}, {1 << 62, 1<<62 - 1}} {
		der, err := asn1.Marshal(struct{ R, S *big.Int }{big.NewInt(numbers[0]), big.NewInt(numbers[1])})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	largest := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	der, err := asn1.Marshal(struct{ R, S *big.Int }{largest, largest})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add([]byte{0x30, 0x06, 0x02, 0x01, 0xff, 0x02, 0x01, 0x01})
	f.Fuzz(func(t *testing.T, der []byte) {
		const size = 32
		var want struct{ R, S *big.Int }
		_, err := asn1.Unmarshal(der, &want)
		fits := err == nil && want.R.Sign() >= 0 && want.S.Sign() >= 0 && want.R.BitLen() <= 8*size && want.S.BitLen() <= 8*size
		if fits { // encoding/asn1 overlooks what stands behind the two numbers
			again, err := asn1.Marshal(want)
			fits = err == nil && bytes.Equal(again, der)
		}
		got, gotErr := fixedLength(nil, der, size)
		switch {
		case fits && gotErr != nil:
			t.Fatalf("%x is not read: %v", der, gotErr)
		case !fits && gotErr == nil:
			t.Fatalf("%x is read, and encoding/asn1 says %v", der, err)
		case gotErr == nil:
			if !bytes.Equal(got, append(want.R.FillBytes(make([]byte, size)), want.S.FillBytes(make([]byte, size))...)) {
				t.Errorf("%x is read as %x", der, got)
			}
		}
	})
}
