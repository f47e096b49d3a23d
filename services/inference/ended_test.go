package inference_test

import (
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// TestAStreamThatEndsWhileARequestIsOnItsWay: the backend ends its stream while it
// is asked about the next request's model. That request goes on a new stream, and
// holds up nothing that comes after it.
func TestAStreamThatEndsWhileARequestIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		asked := func(call *backendstest.Call) error {
			var req pb.ModelConfigRequest
			if err := backendstest.Receive()(call); err != nil {
				return err
			}
			if err := proto.Unmarshal(call.Messages()[0], &req); err != nil {
				return err
			}
			if req.GetName() == "late@a" {
				close(end)
				if err := backendstest.Wait(time.Second)(call); err != nil {
					return err
				}
			}
			return backendstest.Send(&pb.ModelConfigResponse{Config: &pb.ModelConfig{Name: req.GetName()}})(call)
		}
		echo := func(call *backendstest.Call) error {
			return backendstest.Reply(func(req *pb.ModelInferRequest) (proto.Message, error) {
				return final(req.GetModelName(), req.GetId(), true), nil
			})(call)
		}
		ends := []backendstest.Step{echo, backendstest.Until(end)}
		r := newRig(t, map[string]backendstest.Script{
			"a": {"ModelConfig": {asked}, "ModelStreamInfer": ends},
			"b": {"ModelConfig": {backendstest.Each(config)}, "ModelStreamInfer": {backendstest.Each(tokens)}},
		})
		stream, err := r.client.ModelStreamInfer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		say(t, stream, "m@a/1")
		synctest.Wait()
		say(t, stream, "late@a/2", "m@b/3")
		time.Sleep(2 * time.Second)
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if got, err := heard(stream); !slices.Equal(got, []string{"1", "2", "3"}) || err != io.EOF {
			t.Errorf("got %q, %v", got, err)
		}
	})
}
