package inference_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// crashing is a stream whose second read panics, as a mistake in the reading of
// a hostile message would.
type crashing struct {
	memoryStream
	reads int
}

const quoted = "what the message says"

func (s *crashing) RecvMsg(m any) error {
	if s.reads++; s.reads == 2 {
		panic(quoted)
	}
	return s.memoryStream.RecvMsg(m)
}

// TestAPanicInAStreamEndsTheStreamAlone, not the process, and is told without
// what the panic said.
func TestAPanicInAStreamEndsTheStreamAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, map[string]backendstest.Script{"a": {"ModelConfig": {backendstest.Each(config)}, "ModelStreamInfer": {backendstest.Receive(), backendstest.Hang()}}})
		s := &crashing{memoryStream: memoryStream{ctx: t.Context(), requests: encode(request("m@a", "1"), request("m@a", "2"))}}
		err := r.service.ModelStreamInfer(nil, s)
		if err == nil || !strings.Contains(err.Error(), "panic of type string") || !strings.Contains(err.Error(), "RecvMsg") {
			t.Errorf("the stream ended with %v, want the panic and where it was", err)
		} else if strings.Contains(err.Error(), quoted) {
			t.Errorf("%v quotes the panic", err)
		}
	})
}

// TestAServerThatHangsDoesNotHoldProbes, which strangers may send.
func TestAServerThatHangsDoesNotHoldProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, map[string]backendstest.Script{"a": {backendstest.Any: {backendstest.Receive(), backendstest.Hang()}}})
		before := time.Now()
		if resp, err := r.client.ServerReady(t.Context(), &pb.ServerReadyRequest{}); err != nil || resp.GetReady() {
			t.Errorf("ready is %v, %v", resp.GetReady(), err)
		}
		if resp, err := r.client.ServerMetadata(t.Context(), &pb.ServerMetadataRequest{}); err == nil {
			t.Errorf("the metadata of a server that hangs: %v", resp)
		}
		if took := time.Since(before); took > 11*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
