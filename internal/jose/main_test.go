package jose_test

import (
	"encoding/base64"
	"sync"
	"testing"

	"github.com/writ-auth/writ/internal/jose"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// signers holds a signer per algorithm: RSA keys take long to make.
var signers = sync.OnceValue(func() map[string]*jose.Signer {
	all := map[string]*jose.Signer{}
	for _, algorithm := range jose.Algorithms {
		key, err := jose.GenerateKey(algorithm)
		if err != nil {
			panic(err)
		}
		id, err := jose.Thumbprint(key.Public())
		if err != nil {
			panic(err)
		}
		if all[algorithm], err = jose.NewSigner(key, algorithm, id); err != nil {
			panic(err)
		}
	}
	return all
})

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
