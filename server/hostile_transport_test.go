package server_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// paths are not those of methods, however close they come.
var paths = []string{
	"inference.GRPCInferenceService/ModelInfer", "//inference.GRPCInferenceService/ModelInfer", "/inference.GRPCInferenceService//ModelInfer",
	"/inference.GRPCInferenceService/ModelInfer/", "/inference.GRPCInferenceService/modelInfer", "/Inference.GRPCInferenceService/ModelInfer",
	"/inference.GRPCInferenceService/ModelInfer?x=1", "/inference.GRPCInferenceService/ModelInfer#x", "/inference.GRPCInferenceService/ModelInfer%00",
	"/inference.GRPCInferenceService/%4dodelInfer", "/inference.GRPCInferenceService/./ModelInfer", "/inference.GRPCInferenceService/../ModelInfer",
	"/inference.GRPCInferenceService/ModelInfer ", "http://sluice/inference.GRPCInferenceService/ModelInfer", "/", "*", "/x",
	"/inference.GRPCInferenceService", "/inference.GRPCInferenceService/", "/inference.GRPCInferenceService/Nope", "/inference.ModelRepositoryService/ModelInfer",
	"/inference.model_repository.ModelRepositoryService/RepositoryModelLoad", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
	"/" + prompt + "/" + prompt, "/inference.GRPCInferenceService/" + strings.Repeat("x", 100_000),
}

// TestPathsThatAreNoMethods: nothing is served, nothing is written down of a
// path that a caller made up, and a stranger is not told what exists.
func TestPathsThatAreNoMethods(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{backendstest.Any: {backendstest.Receive()}})
	g := start(t, setup{backend: b.Addr})
	c := g.rawClient(t)
	request := framed(0, encoded(t, add("simple")))
	var id uint32 = 1
	for _, path := range paths {
		for _, authorization := range []string{"", "Bearer " + g.Token("alice")} {
			c.open(id, path, false, "authorization", authorization)
			c.data(id, true, request)
			got := c.answer(id)
			if s := got.status(); s != "12" && (authorization != "" || s != "16") { // UNIMPLEMENTED, UNAUTHENTICATED
				t.Errorf("%.60q with %.6q…: %s %v", path, authorization, s, got.fields)
			}
			id += 2
		}
	}
	for _, call := range b.Calls() {
		t.Error(call.Path, "reached the server")
	}
	g.wantNoLeak(prompt, strings.Repeat("x", 300))
}

// TestNotGRPC speaks HTTP/2, but not gRPC.
func TestNotGRPC(t *testing.T) {
	g := start(t, setup{})
	for name, c := range map[string]struct {
		fields []string
		want   string
	}{
		"GET":                      {[]string{":method", "GET"}, "RST_STREAM PROTOCOL_ERROR"},
		"another content type":     {[]string{"content-type", "application/json"}, "3"},
		"no content type":          {[]string{"content-type", ""}, "3"},
		"a deadline of letters":    {[]string{"grpc-timeout", "soon"}, "13"},
		"a deadline in the past":   {[]string{"grpc-timeout", "0n"}, "4"},
		"an unknown encoding":      {[]string{"grpc-encoding", "br"}, "12"},
		"metadata that is no text": {[]string{"x-bin", "!!!"}, "13"},
	} {
		t.Run(name, func(t *testing.T) {
			raw := g.rawClient(t)
			raw.open(1, modelInfer, false, append(c.fields, "authorization", "Bearer "+g.Token("bob"))...)
			if got := raw.answer(1); got.status() != c.want {
				t.Errorf("got %s %v, want %s", got.status(), got.fields, c.want)
			}
		})
	}
}

// TestFraming: what gRPC puts around messages is wrong, or there are not as
// many as there must be.
func TestFraming(t *testing.T) {
	g := start(t, setup{})
	request := encoded(t, add("simple"))
	whole := framed(0, request)
	longer := bytes.Clone(whole)
	binary.BigEndian.PutUint32(longer[1:], uint32(len(request)+1))
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"one message":                       {whole, "0"},
		"none":                              {nil, "13"},
		"two":                               {append(bytes.Clone(whole), whole...), "13"},
		"one, and half a prefix":            {append(bytes.Clone(whole), 0, 0), "13"},
		"half a prefix":                     {whole[:3], "13"},
		"a message cut short":               {whole[:len(whole)-1], "13"},
		"a message that announces more":     {longer, "13"},
		"a message of 4 GiB":                {[]byte{0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}, "8"},
		"a message of 2 GiB, 3 bytes there": {[]byte{0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3}, "13"},
		"an unknown flag":                   {framed(2, request), "13"},
		"compressed, it doesn't say how":    {framed(1, request), "13"},
	} {
		t.Run(name, func(t *testing.T) {
			raw := g.rawClient(t)
			raw.open(1, modelInfer, false, "authorization", "Bearer "+g.Token("bob"))
			raw.data(1, true, c.data)
			if got := raw.answer(1); got.status() != c.want {
				t.Errorf("got %s %v, want %s", got.status(), got.fields, c.want)
			}
		})
	}
}

// TestAnswersAreNotCompressed, as Triton's are not, whatever the request was.
func TestAnswersAreNotCompressed(t *testing.T) {
	g := start(t, setup{})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(encoded(t, add("simple"))); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	for _, method := range []string{modelInfer, modelStreamInfer} {
		raw := g.rawClient(t)
		raw.open(1, method, false, "authorization", "Bearer "+g.Token("bob"), "grpc-encoding", "gzip", "grpc-accept-encoding", "gzip,deflate,identity")
		raw.data(1, true, framed(1, zipped.Bytes()))
		got := raw.answer(1)
		if encoding := got.fields["grpc-encoding"]; got.status() != "0" || encoding != "" && encoding != "identity" || len(got.data) == 0 || got.data[0] != 0 {
			t.Errorf("%s: status %s, encoding %q, data %.10x", method, got.status(), encoding, got.data)
		}
	}
}

// TestCompressedGarbage is not what it says.
func TestCompressedGarbage(t *testing.T) {
	g := start(t, setup{})
	for _, encoding := range []string{"gzip", "deflate"} {
		for name, data := range map[string][]byte{"text": []byte(prompt), "empty": nil, "header alone": {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0}, "zlib header": {0x78, 0x9c}} {
			raw := g.rawClient(t)
			raw.open(1, modelInfer, false, "authorization", "Bearer "+g.Token("bob"), "grpc-encoding", encoding)
			raw.data(1, true, framed(1, data))
			if got := raw.answer(1); got.status() != "13" {
				t.Errorf("%s, %s: got %s %v, want INTERNAL", encoding, name, got.status(), got.fields)
			}
		}
	}
	g.wantNoLeak(prompt)
}

// TestCallsThatAreBrokenOff: the client goes in the middle of its message, by
// a reset or with the connection. What was charged is given back, which is done
// by who frees.
func TestCallsThatAreBrokenOff(t *testing.T) {
	g := start(t, setup{cut: true, server: `
  limits: { in_flight: 2MiB, in_flight_per_principal: 2MiB }`})
	for range 4 {
		for _, method := range []string{modelInfer, modelStreamInfer} {
			raw := g.rawClient(t)
			raw.open(1, method, false, "authorization", "Bearer "+g.Token("bob"))
			raw.data(1, false, append([]byte{0, 0, 0x18, 0, 0}, make([]byte, 10_000)...)) // of 1.5 MiB
			raw.must(raw.framer.WriteRSTStream(1, 8))
			raw.open(3, method, false, "authorization", "Bearer "+g.Token("bob"))
			raw.data(3, false, append([]byte{0, 0, 0x18, 0, 0}, make([]byte, 10_000)...))
			raw.must(raw.conn.Close())
		}
	}
	big := add("simple")
	big.Parameters = map[string]*inference.InferParameter{"x": {ParameterChoice: &inference.InferParameter_StringParam{StringParam: strings.Repeat("x", 1<<20)}}}
	eventually(t, "the budget to be given back", func() bool {
		_, err := g.ModelInfer(g.as("bob"), big)
		return err == nil
	})
}

// TestHalfClose: what was asked before it is answered, and then the stream ends
// well.
func TestHalfClose(t *testing.T) {
	ready := make(chan struct{})
	b := backendstest.Listen(t, backendstest.Script{
		"ModelStreamInfer": {backendstest.ReceiveAll(), backendstest.Until(ready), backendstest.Send(&inference.ModelStreamInferResponse{InferResponse: &inference.ModelInferResponse{Id: "late"}})},
		"ModelConfig":      {backendstest.Receive(), backendstest.Send(&inference.ModelConfigResponse{Config: &inference.ModelConfig{}})},
	})
	g := start(t, setup{backend: b.Addr})
	stream, err := g.ModelStreamInfer(g.as("bob"))
	if err != nil {
		t.Fatal(err)
	}
	request := add("simple")
	request.Id = "late"
	if err := stream.Send(request); err != nil || stream.CloseSend() != nil {
		t.Fatal(err)
	}
	eventually(t, "the server to see the half-close", func() bool { return len(sentTo(b.Calls())) == 1 })
	close(ready)
	if answer, err := stream.Recv(); err != nil || answer.GetInferResponse().GetId() != "late" {
		t.Errorf("got %v, %v", answer, err)
	}
	if _, err := stream.Recv(); err == nil || status.Code(err) != codes.Unknown || err.Error() != "EOF" {
		t.Errorf("the stream ended with %v", err)
	}
	if answers, err := g.sendStream(g.as("bob")); len(answers) > 0 || err != nil {
		t.Errorf("a stream without a message: %v, %v", answers, err)
	}
}

// TestPings: a client may ask once a second whether the gateway lives, and does
// not hit the second exactly.
func TestPings(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	raw := g.rawClient(t)
	ticker := time.NewTicker(600 * time.Millisecond)
	defer ticker.Stop()
	for range 5 {
		raw.must(raw.framer.WritePing(false, [8]byte{1}))
		<-ticker.C
	}
	raw.open(1, serverLive, false)
	raw.data(1, true, framed(0, nil))
	if got := raw.answer(1); got.status() != "0" {
		t.Errorf("after five pings: %s", got.status())
	}
}

// TestManyStreamsAtOnce: more than a connection may have are refused, and
// opening them only to reset them (CVE-2023-44487) starves nobody.
func TestManyStreamsAtOnce(t *testing.T) {
	g := start(t, setup{cut: true, server: `
  limits: { max_streams: 10 }`})
	token := "Bearer " + g.Token("bob")
	raw := g.rawClient(t)
	for i := range uint32(1000) {
		raw.open(2*i+1, modelStreamInfer, false, "authorization", token)
		raw.must(raw.framer.WriteRSTStream(2*i+1, 8))
	}
	if _, err := g.ModelInfer(g.showing(token), add("simple")); err != nil {
		t.Errorf("another connection: %v", err)
	}
	held := g.rawClient(t)
	for i := range uint32(11) {
		held.open(2*i+1, modelStreamInfer, false, "authorization", token)
	}
	if got := held.answer(21); got.status() != "RST_STREAM REFUSED_STREAM" {
		t.Errorf("the eleventh stream: %s", got.status())
	}
}

// TestMetadataIsBounded: a caller who has shown nothing yet must not make the
// gateway keep megabytes of metadata, however long its call lasts.
func TestMetadataIsBounded(t *testing.T) {
	g := start(t, setup{})
	long := strings.Repeat("x", 1<<20)
	for name, ctx := range map[string]context.Context{"a probe": g.as(""), "a known caller": g.as("bob")} {
		_, err := g.ServerLive(appendMD(ctx, "x-note", long), &inference.ServerLiveRequest{})
		wantRefusal(t, err, codes.InvalidArgument, access.ReasonMalformed)
		_, err = g.ModelInfer(appendMD(ctx, "x-note", long), add("simple"))
		if code := status.Code(err); code != codes.InvalidArgument && code != codes.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := g.ServerLive(appendMD(g.as(""), "x-note", strings.Repeat("x", 4<<20)), &inference.ServerLiveRequest{})
	if err == nil {
		t.Error("4 MiB of metadata are taken")
	}
	if _, err := g.ServerLive(appendMD(g.as(""), "x-note", strings.Repeat("x", 8<<10)), &inference.ServerLiveRequest{}); err != nil {
		t.Errorf("8 KiB of metadata: %v", err)
	}
}
