package backendstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
	"github.com/sluice-gateway/sluice/wire/wiretest"
)

// testMetadata wants what the forwarder lets through to reach the server with
// every kind of call, Sluice's own credential over it, and of the caller's
// proof of identity nothing.
func testMetadata(t *testing.T, h Harness) {
	for what, call := range h.calls() {
		o := NewObserver()
		b := h.Open(t, Setup{Observer: o, Forwarder: backends.Forwarder{
			Credential: func() (map[string]string, error) {
				return map[string]string{"authorization": "Bearer sluice-shows"}, nil
			},
		}})
		ctx, err := b.Outgoing(t.Context(), map[string][]string{
			"authorization": {"Bearer callers-own"}, "cookie": {"callers-own"}, "traceparent": {"00-17"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := call(ctx, b); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		o.await(t, string(what), arrived)
		for _, seen := range o.Calls() {
			if got := seen.Metadata["authorization"]; !slices.Equal(got, []string{"Bearer sluice-shows"}) {
				t.Errorf("%s: the server was shown %q", what, got)
			}
			if got := seen.Metadata["traceparent"]; !slices.Equal(got, []string{"00-17"}) {
				t.Errorf("%s: traceparent is %q", what, got)
			}
			if got := seen.Metadata["cookie"]; got != nil {
				t.Errorf("%s: the caller's cookie went on: %q", what, got)
			}
		}
	}
}

// testCredentialError wants no call without the credential that it needs: its
// error is Outgoing's, or that of the call where the backend chooses then.
func testCredentialError(t *testing.T, h Harness) {
	gone := errors.New("no such file")
	for what, call := range h.calls() {
		o := NewObserver()
		b := h.Open(t, Setup{Observer: o, Forwarder: backends.Forwarder{Credential: func() (map[string]string, error) { return nil, gone }}})
		ctx, err := b.Outgoing(t.Context(), nil)
		if err == nil {
			err = bounded(t, what, func() error { return call(ctx, b) })
		}
		if err == nil {
			t.Errorf("%s went well", what)
		}
		if calls := o.Calls(); len(calls) > 0 {
			t.Errorf("%s reached the server: %v", what, calls)
		}
	}
}

// testOwnership sends and receives as the gateway does, with a pool that
// poisons what is freed.
func testOwnership(t *testing.T, h Harness) {
	freed := wire.FreedAgain()
	pool := wiretest.NewPool()
	b := h.Open(t, Setup{Observer: NewObserver(), Pool: pool})
	for range 3 {
		if !h.lacks(t, Infer) {
			if err := ownUnary(t.Context(), b, h.Infer); err != nil {
				t.Error(err)
			}
		}
		if !h.lacks(t, Stream) {
			if err := ownStream(t.Context(), b, h.Stream); err != nil {
				t.Error(err)
			}
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	pool.Check(t)
	if again := wire.FreedAgain() - freed; again != 0 {
		t.Errorf("%d messages were freed again", again)
	}
}

func ownUnary(ctx context.Context, b backends.Backend, e Exchange) error {
	m, err := wire.FromProto(e.request("own"))
	if err != nil {
		return err
	}
	resp := new(wire.Message)
	defer resp.Free()
	err = b.Invoke(ctx, inference.GRPCInferenceService_ModelInfer_FullMethodName, wire.HandOver{Message: m}, resp)
	m.Free()
	if err != nil {
		return err
	}
	var got inference.ModelInferResponse
	if err := resp.Unmarshal(&got); err != nil {
		return err
	}
	return sameTensors(&got, e.Answers[0])
}

func ownStream(ctx context.Context, b backends.Backend, e Exchange) error {
	desc := &grpc.StreamDesc{StreamName: "ModelStreamInfer", ClientStreams: true, ServerStreams: true}
	s, err := b.NewStream(ctx, desc, inference.GRPCInferenceService_ModelStreamInfer_FullMethodName)
	if err != nil {
		return err
	}
	m, err := wire.FromProto(e.request("own"))
	if err != nil {
		return err
	}
	err = s.SendMsg(m)
	m.Free() // as the relay does: at once
	if err != nil {
		return err
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	resp := new(wire.Message)
	defer resp.Free()
	var parts int
	for {
		err := s.RecvMsg(resp)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var got inference.ModelStreamInferResponse
		if err := resp.Unmarshal(&got); err != nil {
			return err
		}
		if parts >= len(e.Answers) {
			return fmt.Errorf("answer %d too many: %v", parts, &got)
		}
		if err := sameTensors(got.GetInferResponse(), e.Answers[parts]); err != nil {
			return err
		}
		parts++
		resp.Reset()
	}
	if parts != len(e.Answers) {
		return fmt.Errorf("got %d answers of %d", parts, len(e.Answers))
	}
	return nil
}

// testConcurrency makes many calls at once; each gets what is its own.
func testConcurrency(t *testing.T, h Harness) {
	const callers = 8
	b, _ := h.open(t, ModeWell)
	var all sync.WaitGroup
	for i := range callers {
		id := fmt.Sprintf("caller-%d", i)
		all.Go(func() {
			if _, none := h.Lacks[Infer]; none {
				return
			}
			got, err := client(b).ModelInfer(t.Context(), h.Infer.request(id))
			if err != nil || got.GetId() != id || sameTensors(got, h.Infer.Answers[0]) != nil {
				t.Errorf("%s: got %v, %v", id, got, err)
			}
		})
		all.Go(func() {
			if _, none := h.Lacks[Stream]; none {
				return
			}
			r := stream(t.Context(), b, h.Stream.asking(id+"-a"), h.Stream.asking(id+"-b"))
			if r.err != nil || r.failed(id+"-a") || r.failed(id+"-b") {
				t.Errorf("%s: %v", id, r)
			}
		})
	}
	all.Wait()
}
