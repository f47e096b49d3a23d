package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/interceptors/telemetry"
)

func prefixes(t *testing.T, texts ...string) (all telemetry.Proxies) {
	t.Helper()
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestTheCallersAddressIsThePeersUnlessAProxyIsTrusted(t *testing.T) {
	for _, c := range []struct {
		name    string
		trusted []string
		peer    string
		header  []string
		want    string
	}{
		{"nobody is trusted", nil, "10.0.0.1", []string{"1.2.3.4"}, "10.0.0.1"},
		{"the peer is not trusted", []string{"10.1.0.0/16"}, "10.0.0.1", []string{"1.2.3.4"}, "10.0.0.1"},
		{"a trusted proxy says", []string{"10.0.0.0/16"}, "10.0.0.1", []string{"1.2.3.4"}, "1.2.3.4"},
		{"what a caller claims stands first and does not count", []string{"10.0.0.0/16"}, "10.0.0.1", []string{"127.0.0.1, 1.2.3.4"}, "1.2.3.4"},
		{"a chain of proxies", []string{"10.0.0.0/16"}, "10.0.0.1", []string{"1.2.3.4, 10.0.0.9"}, "1.2.3.4"},
		{"repeated headers are one list", []string{"10.0.0.0/16"}, "10.0.0.1", []string{"9.9.9.9", "1.2.3.4"}, "1.2.3.4"},
		{"no header", []string{"10.0.0.0/16"}, "10.0.0.1", nil, "10.0.0.1"},
		{"nonsense stops the walk", []string{"10.0.0.0/16"}, "10.0.0.1", []string{"1.2.3.4, nonsense"}, "10.0.0.1"},
		{"IPv6", []string{"fd00::/8"}, "fd00::1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"an IPv4 address in IPv6 form", []string{"10.0.0.0/16"}, "::ffff:10.0.0.1", []string{"::ffff:1.2.3.4"}, "1.2.3.4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := prefixes(t, c.trusted...).Client(&net.TCPAddr{IP: net.ParseIP(c.peer)}, c.header)
			if got.String() != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	if got := telemetry.Proxies(nil).Client(&net.UnixAddr{}, nil); got.IsValid() {
		t.Errorf("a peer without an address has %v", got)
	}
}

// rig is the step with a registry to look into.
type rig struct {
	*telemetry.Telemetry
	registry *prometheus.Registry
}

func newRig() *rig {
	registry := prometheus.NewRegistry()
	now := time.Unix(1000, 0)
	return &rig{registry: registry, Telemetry: &telemetry.Telemetry{
		Metrics: telemetry.NewMetrics(registry), Proxies: func() telemetry.Proxies { return nil }, Now: func() time.Time { return now },
	}}
}

// unary makes a call that fill fills in.
func (r *rig) unary(method string, fill func(*access.Call) error) *access.Call {
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("x-some", "thing"))
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}})
	var call *access.Call
	func() {
		defer func() { _ = recover() }()
		_, _ = r.Step().Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: method}, func(ctx context.Context, _ any) (any, error) {
			call = access.CallFrom(ctx)
			return nil, fill(call)
		})
	}()
	return call
}

// counted lists the series of sluice_calls_total as "rpc model verb verdict code = n".
func (r *rig) counted(t *testing.T) (all []string) {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "sluice_calls_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			at := make(map[string]string)
			for _, l := range m.GetLabel() {
				at[l.GetName()] = l.GetValue()
			}
			all = append(all, fmt.Sprintf("%s %s %s %s %s = %v", at["rpc"], at["model"], at["verb"], at["verdict"], at["code"], m.GetCounter().GetValue()))
		}
	}
	return all
}

func TestACallIsOpenedWithWhatIsKnown(t *testing.T) {
	r := newRig()
	call := r.unary("/inference.GRPCInferenceService/ModelInfer", func(*access.Call) error { return nil })
	if call.RPC != "ModelInfer" || call.Door != "grpc" || call.Peer.String() != "10.0.0.1" || call.Metadata["x-some"][0] != "thing" || len(call.ID) != 16 {
		t.Errorf("opened as %+v", call)
	}
	if other := r.unary("/s/m", func(*access.Call) error { return nil }); other.ID == call.ID {
		t.Error("two calls have one id")
	}
}

func TestTheDoorComesWithTheContextAndHearsOfTheCall(t *testing.T) {
	r := newRig()
	var heard, inside *access.Call
	ctx := access.WithDoor(t.Context(), &access.Door{Name: "rest", Opened: func(c *access.Call) { heard = c }})
	ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("door", "grpc", "sluice-door", "grpc"))
	_, err := r.Step().Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/s/m"}, func(ctx context.Context, _ any) (any, error) {
		inside = access.CallFrom(ctx)
		return nil, nil
	})
	if err != nil || inside.Door != "rest" || heard != inside {
		t.Errorf("the call is %+v, and the door heard of %p: %v", inside, heard, err)
	}
}

func TestWhatACallCountsAs(t *testing.T) {
	infer := func(model string, err error) func(*access.Call) error {
		return func(c *access.Call) error {
			c.Verb, c.Model = access.Infer, model
			return err
		}
	}
	const rpc = "/inference.GRPCInferenceService/ModelInfer"
	for _, c := range []struct {
		name string
		fill func(*access.Call) error
		want string
	}{
		{"an answer makes the model known", infer("simple", nil), "ModelInfer simple infer allowed OK = 1"},
		{"a name that no backend has answered for is no label", infer("made-up-by-a-caller", errors.New("x")), "ModelInfer _other infer failed Internal = 1"},
		{"a refusal", infer("other", &access.Error{Kind: access.PermissionDenied}), "ModelInfer _other infer refused PermissionDenied = 1"},
		{"a backend that is away is a failure", infer("other", &access.Error{Kind: access.Unavailable}), "ModelInfer _other infer failed Unavailable = 1"},
		{"a panic", func(*access.Call) error { panic("boom") }, "ModelInfer  none failed Internal = 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig()
			r.unary(rpc, c.fill)
			if got := r.counted(t); len(got) != 1 || got[0] != c.want {
				t.Errorf("counted %q, want %q", got, c.want)
			}
		})
	}
}

func TestCallersCannotMakeUpLabels(t *testing.T) {
	r := newRig()
	for i := range 1000 {
		r.unary("/inference.GRPCInferenceService/ModelInfer", func(c *access.Call) error {
			c.Verb, c.Model = access.Infer, fmt.Sprint("model-", i)
			return &access.Error{Kind: access.PermissionDenied}
		})
	}
	if got := r.counted(t); len(got) != 1 || !strings.HasSuffix(got[0], "= 1000") {
		t.Errorf("a thousand made-up names are %d series: %q", len(got), got)
	}
}
