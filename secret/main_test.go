package secret_test

import (
	"context"
	"encoding/base64"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var carol = &access.Principal{Issuer: "https://issuer", Subject: "carol", Name: "Carol", Kind: access.User}

func ring(t testing.TB, letters string) *secret.Keyring {
	t.Helper()
	var keys []secret.Bytes
	for _, letter := range letters {
		raw := make([]byte, secret.KeySize)
		for i := range raw {
			raw[i] = byte(letter)
		}
		keys = append(keys, secret.NewBytes(raw))
	}
	r, err := secret.NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func value(text string) secret.Bytes { return secret.NewBytes([]byte(text)) }

// rig is stored credentials on a store of a test's own.
type rig struct {
	*secret.Credentials
	store *storetest.Memory
}

// start makes credentials that run until the test ends.
func start(t testing.TB, kept *storetest.Memory, change func(*secret.Options)) *rig {
	t.Helper()
	o := secret.Options{Store: kept, Ring: ring(t, "a"), Idle: time.Minute, Unconfirmed: 10 * time.Minute}
	if change != nil {
		change(&o)
	}
	r := &rig{secret.New(o), kept}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return r
}

func (r *rig) put(t testing.TB, name string, kind secret.Kind, text string) secret.Info {
	t.Helper()
	info, err := r.Put(context.Background(), carol, name, kind, value(text))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// call is a holder as callers are.
var call = secret.Holder{Who: "https://issuer#bob", Session: "s", Call: "c"}

func (r *rig) lease(t testing.TB, name string, h secret.Holder) *secret.Lease {
	t.Helper()
	l, err := r.Lease(context.Background(), name, h)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// reason is an error's reason, "" for one that is not Sluice's own.
func reason(err error) string {
	if e, ok := access.AsError(err); ok && e != nil {
		return e.Reason
	}
	return ""
}

func keyText(letter byte) string {
	raw := make([]byte, secret.KeySize)
	for i := range raw {
		raw[i] = letter
	}
	return base64.StdEncoding.EncodeToString(raw)
}
