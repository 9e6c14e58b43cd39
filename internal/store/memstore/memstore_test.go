package memstore_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s := memstore.New()
		t.Cleanup(func() { s.Close() })
		return s
	})
}

func TestUseOnceFollowsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		expires := time.Now().Add(time.Minute)
		use := func() error { return s.UseOnce(t.Context(), "id", expires) }
		if err := use(); err != nil {
			t.Fatalf("first use: got %v, want nil", err)
		}
		time.Sleep(time.Minute)
		if err := use(); err != store.ErrExists {
			t.Errorf("at its expiry: got %v, want ErrExists", err)
		}
		time.Sleep(time.Microsecond)
		if err := use(); err != nil {
			t.Errorf("behind its expiry: got %v, want nil", err)
		}
	})
}
