package record_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors/record"
	"github.com/sluice-gateway/sluice/wire"
)

// TestWhatIsSaidOnAStream: each request's answers are kept with it, whatever ids the
// client gave; what is not certainly a request's own, is not kept at all.
func TestWhatIsSaidOnAStream(t *testing.T) {
	yes, no := true, false
	tests := []struct {
		name    string
		ids     []string
		handler func(t *testing.T, ss grpc.ServerStream) error
		want    []string
	}{
		{"two with the same id", []string{"", ""}, func(t *testing.T, ss grpc.ServerStream) error {
			a, b := read(t, ss, true), read(t, ss, true)
			reply(t, ss, b, "", "b1", &no)
			reply(t, ss, a, "", "a1", &no)
			reply(t, ss, b, "", "b2", &yes)
			reply(t, ss, a, "", "a2", &yes)
			return nil
		}, []string{" asked a1 a2", " asked b1 b2"}},
		{"answers that don't say which is the last", []string{"1"}, func(t *testing.T, ss grpc.ServerStream) error {
			f := read(t, ss, true)
			reply(t, ss, f, "1", "a", nil)
			reply(t, ss, f, "1", "b", nil)
			return ss.SendMsg(wire.End{Follower: f})
		}, []string{"1 asked a b"}},
		{"one answer that says nothing", []string{"1"}, func(t *testing.T, ss grpc.ServerStream) error {
			reply(t, ss, read(t, ss, false), "1", "a", nil)
			return nil
		}, []string{"1 asked a"}},
		{"a request that nobody could follow", []string{"1", "2"}, func(t *testing.T, ss grpc.ServerStream) error {
			_ = read(t, ss, true)
			f := read(t, ss, true)
			reply(t, ss, nil, "1", "a", &yes)
			reply(t, ss, f, "2", "b", &yes)
			return nil
		}, []string{"1 nothing", "2 asked b"}},
		{"one that is broken off", []string{"1", "2"}, func(t *testing.T, ss grpc.ServerStream) error {
			f, _ := read(t, ss, true), read(t, ss, true)
			reply(t, ss, f, "1", "a", &no)
			return status.Error(codes.Unavailable, "gone")
		}, []string{"1 asked a failed:gone !", "2 asked failed:gone !"}},
		{"one that is refused later", []string{"1"}, func(t *testing.T, ss grpc.ServerStream) error {
			f := read(t, ss, true)
			reply(t, ss, f, "1", "a", &no)
			access.CallFrom(ss.Context()).OnMessage(access.Message{ID: "1", Verb: access.Infer, Model: "m", Refused: &access.Error{Kind: access.PermissionDenied, Reason: access.ReasonBlocked, Message: "no"}})
			reply(t, ss, f, "1", "late", &no)
			return nil
		}, []string{"1 asked a !"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCapturing(t)
			c.stream(t, func(ss grpc.ServerStream) error { return tt.handler(t, ss) }, tt.ids...)
			if got := c.end(t); !slices.Equal(got, tt.want) {
				t.Errorf("kept %q, want %q", got, tt.want)
			}
			if st := c.Payloads.Stats(); st.Bytes != 0 {
				t.Errorf("%d bytes are still held", st.Bytes)
			}
		})
	}
}

// TestManyOpenRequests: those that a recorder no longer waits for are not kept, and
// hold nothing.
func TestManyOpenRequests(t *testing.T) {
	c := newCapturing(t)
	var ids []string
	for i := range 70 {
		ids = append(ids, fmt.Sprintf("%02d", i))
	}
	c.stream(t, func(ss grpc.ServerStream) error {
		for range ids {
			_ = read(t, ss, true)
		}
		return nil
	}, ids...)
	kept := c.end(t)
	nothing := 0
	for _, line := range kept {
		if strings.HasSuffix(line, "nothing") {
			nothing++
		}
	}
	if len(kept) != 70 || nothing != 6 || c.Payloads.Stats().Bytes != 0 {
		t.Errorf("%d kept, %d with nothing", len(kept), nothing)
	}
}

// TestWhatIsSaidInACall: a call that waits for its record has its payload with it.
func TestWhatIsSaidInACall(t *testing.T) {
	for _, tt := range []struct {
		rpc  string
		verb access.Verb
		req  proto.Message
		resp any
		err  error
		want string
	}{
		{"ModelInfer", access.Infer, &pb.ModelInferRequest{ModelName: "m"}, nil, nil, " asked kind2"},
		{"ModelInfer", access.Infer, &pb.ModelInferRequest{ModelName: "m"}, nil, errors.New("secret cause"), " asked failed:internal error; the gateway's log says more !"},
		{"RepositoryModelUnload", access.Unload, &pb.RepositoryModelUnloadRequest{ModelName: "m"}, &pb.RepositoryModelUnloadResponse{}, nil, " kind5 kind6"},
	} {
		c := newCapturing(t)
		c.call.RPC, c.call.Verb, c.call.Model = tt.rpc, tt.verb, "m"
		if tt.resp == nil && tt.err == nil {
			m, err := wire.FromProto(&pb.ModelInferResponse{ModelName: "m"})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Free()
			tt.resp = m
		}
		r := request(t, tt.req)
		_, _ = c.Step().Unary(access.WithCall(t.Context(), c.call), r, nil, func(ctx context.Context, req any) (any, error) {
			return record.Intent().Unary(ctx, req, nil, func(context.Context, any) (any, error) { return tt.resp, tt.err })
		})
		got := c.end(t)
		if len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: kept %q, want %q", tt.rpc, got, tt.want)
		}
	}
}

// TestNamesAreMasked: what a caller chose of a record is masked, and what records
// share stays as it was.
func TestNamesAreMasked(t *testing.T) {
	c := newCapturing(t)
	c.Mask = func(_, text string) string { return strings.ReplaceAll(text, "jane", "[NAME]") }
	c.call.RPC, c.call.Verb, c.call.Model, c.call.Version = "ModelInfer", access.Infer, "m-jane", "jane"
	r := request(t, &pb.ModelInferRequest{ModelName: "m-jane", Id: "by jane", Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "jane"}, {Name: "x", Datatype: "jane's"}}})
	said, err := proto.Marshal(&pb.ModelInferResponse{ModelName: "m-jane", ModelVersion: "of jane", Outputs: []*pb.ModelInferResponse_InferOutputTensor{{Name: "jane", Datatype: "jane's"}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, _ = c.Step().Unary(access.WithCall(t.Context(), c.call), r, nil, func(ctx context.Context, req any) (any, error) {
			return record.Intent().Unary(ctx, req, nil, func(context.Context, any) (any, error) { return wire.FromBytes(said), nil })
		})
	}
	_ = c.end(t)
	entries, _ := c.shelf.Entries()
	for _, e := range entries {
		if bytes.Contains(e.Bytes, []byte("jane")) || e.Record.Verb != "" && len(e.Record.Outputs) != 1 {
			t.Errorf("%+v", e.Record)
		}
		if e.Record.Verb != "" && (e.Record.Request != "by [NAME]" || e.Record.Model != "m-[NAME]" || e.Record.AskedVersion != "[NAME]" || e.Record.Inputs[0].Name != "[NAME]") {
			t.Errorf("%+v", e.Record)
		}
	}
}

// What can't be read as far as its model's name is masked too, and so is what the
// process says of it itself.
func TestNamesAreMaskedWithoutAModelAndInLines(t *testing.T) {
	c := newCapturing(t)
	var lines bytes.Buffer
	c.Log = slog.New(slog.NewTextHandler(&lines, nil))
	c.Mask = func(_, text string) string { return strings.ReplaceAll(text, "jane", "[NAME]") }
	refused := &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Cause: errors.New("no such member as jane")}
	for _, model := range []string{"", "jane"} {
		call := *c.call
		call.RPC, call.Model = "ModelInfer", model
		_, _ = c.Step().Unary(access.WithCall(t.Context(), &call), wire.RequestOf(nil), nil, func(context.Context, any) (any, error) { return nil, refused })
	}
	call := *c.call
	call.RPC, call.Stream = "ModelStreamInfer", true
	_ = c.Step().Stream(nil, &stream{ctx: access.WithCall(t.Context(), &call)}, nil, func(any, grpc.ServerStream) error {
		call.OnMessage(access.Message{ID: "jane", Model: "m", Verb: access.Infer})
		call.OnMessage(access.Message{ID: "jane", Model: "jane", Verb: access.Infer, Refused: refused})
		return nil
	})
	_ = c.end(t)
	if text := lines.String(); strings.Contains(text, "jane") || strings.Count(text, "[NAME]") != 7 {
		t.Error(text)
	}
	entries, _ := c.shelf.Entries()
	for _, e := range entries {
		if bytes.Contains(e.Bytes, []byte("jane")) {
			t.Errorf("%+v", e.Record)
		}
	}
}
