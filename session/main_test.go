package session_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/session"
	"github.com/sluice-gateway/sluice/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const issuer = "https://issuer.test"

func principal(name string) *access.Principal {
	return &access.Principal{Issuer: issuer, Subject: name, Name: name, Kind: access.User, Groups: []string{"g"}}
}

// ender hears why a call was ended.
type ender struct {
	mu  sync.Mutex
	why []*access.Error
}

func (e *ender) End(why *access.Error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.why = append(e.why, why)
}

func (e *ender) ended() []*access.Error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.why
}

// called is one open call.
type called struct {
	session.Call
	ender
	about *access.Call
}

func (c *called) close() { c.Close(c.about) }

func call(name string, stream bool) *called {
	return &called{about: &access.Call{
		Principal: principal(name), Door: "grpc", Stream: stream, RPC: "ModelStreamInfer", Opened: time.Now(), Peer: netip.MustParseAddr("192.0.2.1"),
	}}
}

// open opens a call that may be.
func open(t *testing.T, conn *session.Conn, name string, stream bool) *called {
	t.Helper()
	c := call(name, stream)
	if err := conn.Open(c.about, &c.Call, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// try opens a call and says with which reason that was refused.
func try(conn *session.Conn, name string) string {
	c := call(name, false)
	err := conn.Open(c.about, &c.Call, c)
	if err == nil {
		c.close()
		return ""
	}
	e, _ := access.AsError(err)
	return e.Reason
}

func ids(l session.Listing) (all []string) {
	for _, s := range l.Sessions {
		all = append(all, s.ID)
	}
	return all
}

func kill(t *testing.T, r *session.Registry, o session.Order) session.Killed {
	t.Helper()
	o.By = session.Who{ID: issuer + "#admin", Name: "admin"}
	k, err := r.Kill(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func reason(err error) string {
	if e := new(access.Error); errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// replica is a registry that runs on a store of its own to shared items.
func replica(t *testing.T, name string, of *storetest.Memory) *session.Registry {
	t.Helper()
	return replicaWith(t, session.Options{Store: of, Replica: name})
}

func replicaWith(t *testing.T, o session.Options) *session.Registry {
	t.Helper()
	r := session.New(o)
	if err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	return r
}
