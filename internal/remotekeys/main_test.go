package remotekeys_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain has a proxy in the environment of all tests: whoever asks it connects to elsewhere than the test expects.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
		_ = os.Setenv(name, proxy) // cannot fail with these names
	}
	goleak.VerifyTestMain(m)
}

const proxy = "http://9.9.9.9:3128"
