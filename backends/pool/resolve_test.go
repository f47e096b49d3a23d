package pool_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/pool"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// names is a DNS of one name.
type names struct {
	mu   sync.Mutex
	ips  []string
	err  error
	asks []string
}

func (n *names) set(err error, ips ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ips, n.err = ips, err
}

func (n *names) lookup(_ context.Context, host string) (found []netip.Addr, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asks = append(n.asks, host)
	for _, ip := range n.ips {
		found = append(found, netip.MustParseAddr(ip))
	}
	return found, n.err
}

func addresses(p *pool.Pool) (all []string) {
	for _, r := range p.Status().Replicas {
		all = append(all, r.Address)
	}
	return all
}

func TestReplicasOfAName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dns := &names{ips: []string{"10.0.0.1", "::ffff:10.0.0.2"}}
		a, b, c := newServer(t, "10.0.0.1:8001", nil), newServer(t, "10.0.0.2:8001", nil), newServer(t, "[fd00::3]:8001", nil)
		p := newPool(t, func(o *pool.Options) {
			o.Config.Addresses, o.Lookup = []string{"dns:///triton:8001"}, dns.lookup
		}, a, b, c)
		if p.Traits().Triton != true {
			t.Error("the traits are not known before the addresses are")
		}
		time.Sleep(time.Second)
		if got := addresses(p); !slices.Equal(got, []string{"10.0.0.1:8001", "10.0.0.2:8001"}) {
			t.Fatalf("replicas %v", got)
		}

		// One leaves with a call on it, another comes.
		hold := make(chan struct{})
		a.hold.Store(&hold)
		done := make(chan error)
		before := a.infers.Load()
		for a.infers.Load() == before { // until one is at a
			go func() {
				_, err := infer(t.Context(), p)
				done <- err
			}()
			time.Sleep(100 * time.Millisecond)
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
			default:
			}
		}
		dns.set(nil, "10.0.0.2", "fd00::3")
		time.Sleep(6 * time.Second)
		if got := addresses(p); !slices.Equal(got, []string{"10.0.0.2:8001", "[fd00::3]:8001"}) {
			t.Errorf("replicas %v", got)
		}
		close(hold)
		if err := <-done; err != nil {
			t.Errorf("the call on the replica that left: %v", err)
		}
		time.Sleep(20 * time.Second)
		for range 40 {
			if _, err := infer(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		if c.infers.Load() == 0 || b.infers.Load() == 0 {
			t.Errorf("calls %d and %d", b.infers.Load(), c.infers.Load())
		}

		// A DNS that fails takes nobody away; a name without addresses does.
		dns.set(errors.New("no answer"), "10.9.9.9")
		time.Sleep(time.Minute)
		if got := addresses(p); len(got) != 2 {
			t.Errorf("replicas %v", got)
		}
		dns.set(&net.DNSError{IsNotFound: true})
		time.Sleep(6 * time.Second)
		if _, err := infer(t.Context(), p); len(addresses(p)) != 0 || !backends.IsAway(err) {
			t.Errorf("replicas %v, error %v", addresses(p), err)
		}
	})
}

func TestADrainEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dns := &names{ips: []string{"10.0.0.1"}}
		a := newServer(t, "10.0.0.1:8001", nil)
		hold := make(chan struct{})
		defer close(hold)
		a.hold.Store(&hold)
		p := newPool(t, func(o *pool.Options) {
			o.Config.Addresses, o.Lookup = []string{"dns:///triton:8001"}, dns.lookup
		}, a)
		time.Sleep(time.Second)
		done := make(chan error)
		go func() {
			_, err := infer(t.Context(), p)
			done <- err
		}()
		synctest.Wait()
		dns.set(nil)
		start := time.Now()
		if err := <-done; err == nil || time.Since(start) < 30*time.Second || time.Since(start) > 40*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestASequenceOfAReplicaThatLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dns := &names{ips: []string{"10.0.0.1"}}
		p := newPool(t, func(o *pool.Options) {
			o.Config.Addresses, o.Lookup = []string{"dns:///triton:8001"}, dns.lookup
		}, newServer(t, "10.0.0.1:8001", stateful()), newServer(t, "10.0.0.2:8001", stateful()))
		time.Sleep(time.Second)
		alice := as(t.Context(), "alice")
		if _, err := infer(alice, p, sequence("s", true, false)); err != nil {
			t.Fatal(err)
		}
		dns.set(nil, "10.0.0.2")
		time.Sleep(6 * time.Second)
		for i, want := range []string{"SEQUENCE_LOST", "SEQUENCE_NOT_BEGUN"} {
			if _, err := infer(alice, p, sequence("s", false, false)); reasonOf(t, err) != want {
				t.Errorf("message %d: %v, want %s", i, err, want)
			}
		}
		if at, err := infer(alice, p, sequence("s", true, false)); err != nil || at != "10.0.0.2:8001" {
			t.Errorf("begun again at %s: %v", at, err)
		}
	})
}

func TestURLs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for address, want := range map[string]string{
			"dns+http://vllm:8000":     "http://[fd00::1]:8000",
			"dns+https://vllm/base":    "https://[fd00::1]/base",
			"dns://10.0.0.10/vllm:443": "[fd00::1]:443",
		} {
			var opened, name string
			dns := &names{ips: []string{"fd00::1"}}
			o := pool.Options{
				Config: config(address), Lookup: dns.lookup, Unwatched: true, Logger: slog.New(slog.DiscardHandler),
				Open: func(a, n string) (backends.Backend, error) {
					opened, name = a, n
					return opener(nil, nil)("nobody:1", "")
				},
			}
			p, err := pool.New(o)
			if err != nil {
				t.Fatal(err)
			}
			p.Ask(t.Context())
			if err := p.Close(); opened != want || name != "vllm" || err != nil {
				t.Errorf("%s is opened as %s of %q: %v", address, opened, name, err)
			}
		}
	})
}

func TestDrift(t *testing.T) {
	bubble(t, func(t *testing.T) {
		index := func(states ...string) *pb.RepositoryIndexResponse {
			r := &pb.RepositoryIndexResponse{}
			for i, state := range states {
				r.Models = append(r.Models, &pb.RepositoryIndexResponse_ModelIndex{Name: string(rune('m' + i)), Version: "1", State: state})
			}
			return r
		}
		a, b := newServer(t, "a:1", answers("RepositoryIndex", index("READY", "READY"))), newServer(t, "b:1", answers("RepositoryIndex", index("READY", "UNAVAILABLE", "READY")))
		p := newPool(t, func(o *pool.Options) { o.Unwatched = true }, a, b)
		s := p.Ask(t.Context())
		if len(s.Drift) != 2 || s.Drift[0].Model != "n" || s.Drift[0].States["b:1"] != "UNAVAILABLE" || s.Drift[1].States["a:1"] != "" || s.Drift[1].States["b:1"] != "READY" {
			t.Errorf("drift %+v", s.Drift)
		}
		if n := count(a, "RepositoryModelLoad") + count(b, "RepositoryModelUnload"); n != 0 {
			t.Error("a replica was changed")
		}
	})
}
