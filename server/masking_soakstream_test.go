package server_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/bench/masking/corpus"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// soakKinds are the corpus's kinds of which nothing may be left: they have a form
// or a checksum of their own, and need no words around them to be told. All others
// are masked as well, in a stream as they are whole.
var soakKinds = []string{
	"EMAIL", "CARD", "SSN", "IBAN", "MAC", "JWT", "PRIVATE_KEY", "AWS_ACCESS_KEY", "AWS_SECRET_KEY", "GCP_API_KEY", "GITHUB_TOKEN", "SLACK_TOKEN", "STRIPE_KEY",
	"OPENAI_KEY", "URL_CREDENTIALS",
}

// soakStream is one stream: its requests and how they are answered.
type soakStream struct {
	key, seed string
	requests  []*soakRequest
	together  bool // the answers to all requests come mixed, after the last one
	messages  []*inference.ModelStreamInferResponse
}

func (s *soakStream) String() string { return "SOAK_SEED=" + s.seed + " stream " + s.key }

// soakRequest is one request: the texts that it is answered with.
type soakRequest struct {
	id, model string
	docs      []corpus.Doc
	raw       bool
	shape     []int64
	messages  []*inference.ModelStreamInferResponse
	failed    bool // the last answer is an error
}

func newSoakStream(r *rand.Rand, number int, seed uint64) *soakStream {
	s := &soakStream{key: strconv.Itoa(number), seed: strconv.FormatUint(seed, 10), together: r.IntN(2) == 0}
	docs := corpus.Generate(corpus.Part(number%2), seed<<32+uint64(number), 40)
	for k := range 1 + r.IntN(3) {
		s.requests = append(s.requests, newSoakRequest(r, fmt.Sprintf("r%d", k), docs))
	}
	if len(s.requests) == 1 && r.IntN(3) == 0 {
		s.requests[0].id = ""
	}
	for _, one := range s.requests {
		one.answer(r)
	}
	if s.together {
		s.mix(r)
	}
	return s
}

// mix puts the answers to all requests in one order that keeps that of each.
func (s *soakStream) mix(r *rand.Rand) {
	left := make([][]*inference.ModelStreamInferResponse, len(s.requests))
	total := 0
	for i, one := range s.requests {
		left[i] = one.messages
		total += len(one.messages)
	}
	for len(s.messages) < total {
		if i := r.IntN(len(left)); len(left[i]) > 0 {
			s.messages, left[i] = append(s.messages, left[i][0]), left[i][1:]
		}
	}
}

// newSoakRequest draws texts that the variant of model can hold, JSON or any.
func newSoakRequest(r *rand.Rand, id string, docs []corpus.Doc) *soakRequest {
	one := &soakRequest{id: id, raw: r.IntN(2) == 0}
	format, word := soakFormats[r.IntN(2)], soakWords[r.IntN(len(soakWords))]
	one.model = soakModes[r.IntN(len(soakModes))] + "." + format + "." + word
	docs = slices.DeleteFunc(slices.Clone(docs), func(d corpus.Doc) bool {
		odd := slices.ContainsFunc(d.Truth, func(s corpus.Span) bool { return s.Odd != "" })
		// What partial keeps are characters, of which two may be six bytes.
		return format == "json" && d.Style != "json" || word == "partial" && odd
	})
	n := 1 + r.IntN(3)
	for range n {
		d := corpus.Doc{}
		if len(docs) > 0 {
			d = docs[r.IntN(len(docs))]
		}
		one.docs = append(one.docs, d)
	}
	one.shape = [][]int64{{int64(n)}, {int64(n), 1}, {1, int64(n)}}[r.IntN(3)]
	return one
}

func (one *soakRequest) wholeModel() string {
	_, variant, _ := strings.Cut(one.model, ".")
	return "whole." + variant
}

func (one *soakRequest) cumulative() bool { return strings.HasPrefix(one.model, "cumulative") }

// request asks for the texts.
func (one *soakRequest) request(key string) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{
		ModelName: one.model, Id: one.id,
		Inputs:           []*inference.ModelInferRequest_InferInputTensor{{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}}},
		RawInputContents: [][]byte{soakBytes([]byte(key))},
		Parameters:       map[string]*inference.InferParameter{"triton_enable_empty_final_response": soakBool(true)},
	}
}

// answer cuts the texts anywhere, and ends in one of the ways that there are.
func (one *soakRequest) answer(r *rand.Rand) {
	size := []int{1, 4, 4, 16, 200}[r.IntN(5)]
	longest := 0
	for _, d := range one.docs {
		longest = max(longest, len(d.Text))
	}
	n := 1 + min(longest/size, 600)
	cuts := make([][]int, len(one.docs))
	for i, d := range one.docs {
		for range n - 1 {
			cuts[i] = append(cuts[i], r.IntN(len(d.Text)+1))
		}
		cuts[i] = append(cuts[i], len(d.Text))
		slices.Sort(cuts[i])
	}
	ending := r.IntN(4)
	if one.cumulative() && len(one.docs) > 1 {
		ending = 0 // an answer made of what was held repeats only the elements that it was held of
	}
	for k := range n {
		chunks := make([][]byte, len(one.docs))
		for i, d := range one.docs {
			from := 0
			if k > 0 && !one.cumulative() {
				from = cuts[i][k-1]
			}
			chunks[i] = []byte(d.Text[from:cuts[i][k]])
		}
		one.messages = append(one.messages, one.message(chunks, ending == 0 && k == n-1))
	}
	switch ending {
	case 1:
		one.messages = append(one.messages, one.message(nil, true))
	case 2:
		failure := one.message(nil, true)
		failure.ErrorMessage, one.failed = "the model has had enough", true
		one.messages = append(one.messages, failure)
	}
}

// message is one answer. It holds a tensor of numbers besides.
func (one *soakRequest) message(texts [][]byte, final bool) *inference.ModelStreamInferResponse {
	m := &inference.ModelInferResponse{
		ModelName: one.model, ModelVersion: "1", Id: one.id,
		Parameters: map[string]*inference.InferParameter{"triton_final_response": soakBool(final)},
	}
	if texts != nil {
		m.Outputs = []*inference.ModelInferResponse_InferOutputTensor{
			{Name: "count", Datatype: "INT32", Shape: []int64{1}}, {Name: "text_output", Datatype: "BYTES", Shape: one.shape},
		}
		if one.raw {
			m.RawOutputContents = [][]byte{{1, 2, 3, 4}, soakBytes(texts...)}
		} else {
			m.Outputs[0].Contents = &inference.InferTensorContents{IntContents: []int32{0x04030201}}
			m.Outputs[1].Contents = &inference.InferTensorContents{BytesContents: texts}
		}
	}
	return &inference.ModelStreamInferResponse{InferResponse: m}
}

func soakBool(b bool) *inference.InferParameter {
	return &inference.InferParameter{ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: b}}
}

// soakBytes are the raw contents of a BYTES tensor.
func soakBytes(elements ...[]byte) []byte {
	var b []byte
	for _, e := range elements {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(e))), e...)
	}
	return b
}

// soakTexts reads the elements of text_output, nil if it is not there.
func soakTexts(m *inference.ModelInferResponse) ([]string, error) {
	at := slices.IndexFunc(m.GetOutputs(), func(o *inference.ModelInferResponse_InferOutputTensor) bool { return o.GetName() == "text_output" })
	if at < 0 {
		return nil, nil
	}
	o := m.GetOutputs()[at]
	if o.GetDatatype() != "BYTES" {
		return nil, fmt.Errorf("text_output is of %s", o.GetDatatype())
	}
	var texts []string
	if len(m.GetRawOutputContents()) <= at {
		for _, b := range o.GetContents().GetBytesContents() {
			texts = append(texts, string(b))
		}
		return texts, nil
	}
	for raw := m.GetRawOutputContents()[at]; len(raw) > 0; {
		if len(raw) < 4 || len(raw)-4 < int(binary.LittleEndian.Uint32(raw)) {
			return nil, errors.New("raw contents have a wrong length")
		}
		n := 4 + binary.LittleEndian.Uint32(raw)
		texts, raw = append(texts, string(raw[4:n])), raw[n:]
	}
	return texts, nil
}

func soakContext(token string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), cancel
}

// soakDouble is a Triton that answers what the test has made ready.
type soakDouble struct {
	inference.UnimplementedGRPCInferenceServiceServer
	scripts sync.Map // stream's key -> *soakStream
}

func (d *soakDouble) listen(t *testing.T) string {
	t.Helper()
	srv := grpc.NewServer()
	inference.RegisterGRPCInferenceServiceServer(srv, d)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() {
		srv.Stop()
		serving.Wait()
	})
	return l.Addr().String()
}

func (d *soakDouble) find(key string) (*soakStream, error) {
	s, ok := d.scripts.Load(key)
	if !ok {
		return nil, status.Errorf(codes.Internal, "no script %q", key)
	}
	return s.(*soakStream), nil
}

func (d *soakDouble) ServerLive(context.Context, *inference.ServerLiveRequest) (*inference.ServerLiveResponse, error) {
	return &inference.ServerLiveResponse{Live: true}, nil
}

func (d *soakDouble) ServerReady(context.Context, *inference.ServerReadyRequest) (*inference.ServerReadyResponse, error) {
	return &inference.ServerReadyResponse{Ready: true}, nil
}

func (d *soakDouble) ServerMetadata(context.Context, *inference.ServerMetadataRequest) (*inference.ServerMetadataResponse, error) {
	return backendstest.TritonMetadata(), nil
}

func (d *soakDouble) RepositoryIndex(context.Context, *inference.RepositoryIndexRequest) (*inference.RepositoryIndexResponse, error) {
	return &inference.RepositoryIndexResponse{}, nil
}

func (d *soakDouble) ModelConfig(_ context.Context, r *inference.ModelConfigRequest) (*inference.ModelConfigResponse, error) {
	mode, _, _ := strings.Cut(r.GetName(), ".")
	config := &inference.ModelConfig{
		Name: r.GetName(), Backend: "python",
		ModelTransactionPolicy: &inference.ModelTransactionPolicy{Decoupled: mode != "whole"},
		Output: []*inference.ModelOutput{
			{Name: "count", DataType: inference.DataType_TYPE_INT32, Dims: []int64{1}},
			{Name: "text_output", DataType: inference.DataType_TYPE_STRING, Dims: []int64{-1}},
		},
	}
	if mode == "vllm" {
		config.Backend = "vllm"
	}
	return &inference.ModelConfigResponse{Config: config}, nil
}

// ModelInfer answers the whole texts of the request that the id names.
func (d *soakDouble) ModelInfer(_ context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	key, number, _ := strings.Cut(r.GetId(), "/")
	s, err := d.find(key)
	if err != nil {
		return nil, err
	}
	k, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	var texts [][]byte
	for _, doc := range s.requests[k].docs {
		texts = append(texts, []byte(doc.Text))
	}
	whole := s.requests[k].message(texts, false).GetInferResponse()
	whole.Id, whole.ModelName, whole.Parameters = r.GetId(), r.GetModelName(), nil
	return whole, nil
}

// ModelStreamInfer answers each request by itself, or all after the last one.
func (d *soakDouble) ModelStreamInfer(stream inference.GRPCInferenceService_ModelStreamInferServer) error {
	seen := 0
	for {
		r, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // the client has half-closed, or is gone
		}
		s, err := d.find(string(r.GetRawInputContents()[0][4:]))
		if err != nil {
			return err
		}
		seen++
		messages := s.messages
		if !s.together {
			k := slices.IndexFunc(s.requests, func(one *soakRequest) bool { return one.id == r.GetId() })
			messages = s.requests[max(k, 0)].messages
		} else if seen < len(s.requests) {
			continue
		}
		for _, m := range messages {
			if err := stream.Send(m); err != nil {
				return err
			}
		}
	}
}
