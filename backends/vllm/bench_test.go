package vllm_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
	"github.com/sluice-gateway/sluice/backends/openai"
	"github.com/sluice-gateway/sluice/backends/triton"
	"github.com/sluice-gateway/sluice/backends/vllm"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

const (
	benchServer = "SLUICE_BENCH_SERVER" // "http" or "grpc": this process is the server
	benchTokens = 400
	benchPace   = 5 * time.Millisecond
	benchMany   = 32 // streams at a time
)

// BenchmarkToken is the processor time of one token of a stream, received as
// services/inference does, beside that of a Triton behind gRPC. The server is
// another process, whose time does not count, and paces its tokens, so that each is
// read by itself. Run it with -benchtime 1x.
func BenchmarkToken(b *testing.B) {
	for _, kind := range []string{"grpc", "http"} {
		b.Run(kind, func(b *testing.B) {
			address := startServer(b, kind)
			var backend backends.Backend
			var err error
			if kind == "grpc" {
				backend, err = triton.New(triton.Options{Name: "b", Address: address, Credentials: insecure.NewCredentials(), Traits: backends.Traits{Silent: true}})
			} else {
				var client *generate.Client
				client, err = generate.NewClient(generate.ClientOptions{Address: "http://" + address})
				backend = generate.New(generate.Options{Name: "b", Kind: "vllm", Server: vllm.New(client), Schema: openai.VLLM.Schema})
			}
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = backend.Close() }()
			receive(b, backend) // connections are made
			before := spent()
			for b.Loop() {
				var all sync.WaitGroup
				for range benchMany {
					all.Go(func() { receive(b, backend) })
				}
				all.Wait()
			}
			b.ReportMetric(float64((spent()-before).Nanoseconds())/float64(b.N*benchMany*benchTokens), "cpu-ns/token")
		})
	}
}

// BenchmarkFirstToken is the time to the first token, at the median: of a plain HTTP
// client, and of the backend before the same server.
func BenchmarkFirstToken(b *testing.B) {
	address := startServer(b, "http")
	client, err := generate.NewClient(generate.ClientOptions{Address: "http://" + address})
	if err != nil {
		b.Fatal(err)
	}
	backend := generate.New(generate.Options{Name: "b", Kind: "vllm", Server: vllm.New(client), Schema: openai.VLLM.Schema})
	defer func() { _ = backend.Close() }()
	for name, ask := range map[string]func() error{
		"direct": func() error {
			resp, err := http.Post("http://"+address+"/v1/completions", "application/json", strings.NewReader(`{"max_tokens":1,"model":"tiny/llama","prompt":"x","stream":true}`)) //nolint:gosec // the benchmark's own
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, resp.Body)
			return errors.Join(err, resp.Body.Close())
		},
		"backend": func() error {
			req := generatetest.Ask(model, "1", map[string]any{"text_input": "x", "stream": true, "sampling_parameters": `{"max_tokens":1}`})
			answers, err := generatetest.Stream(context.Background(), b, backend, req)
			if err == nil && (len(answers) != 1 || answers[0].Error != "") {
				return fmt.Errorf("%d answers", len(answers))
			}
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if err := ask(); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
		})
	}
	http.DefaultClient.CloseIdleConnections()
}

// receive receives one stream.
func receive(b *testing.B, backend backends.Backend) {
	s, err := backend.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, pb.GRPCInferenceService_ModelStreamInfer_FullMethodName)
	if err != nil {
		b.Error(err)
		return
	}
	if err := errors.Join(s.SendMsg(generatetest.Ask(model, "1", map[string]any{"text_input": "x", "stream": true})), s.CloseSend()); err != nil {
		b.Error(err)
		return
	}
	m, n := new(wire.Message), 0
	defer m.Free()
	for ; ; n++ {
		err := s.RecvMsg(m)
		m.Reset()
		if err != nil {
			if !errors.Is(err, io.EOF) || n != benchTokens {
				b.Errorf("%d answers, %v", n, err)
			}
			return
		}
	}
}

// spent is the processor time of this process.
func spent() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// startServer runs this program as a server until the benchmark ends, and
// returns its address.
func startServer(b *testing.B, kind string) string {
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run", "^TestBenchServer$")
	cmd.Env = append(os.Environ(), benchServer+"="+kind)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close() // is its end
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return line[:len(line)-1]
}

// TestBenchServer is the server of the benchmark, and no test.
func TestBenchServer(t *testing.T) {
	kind := os.Getenv(benchServer)
	if kind == "" {
		t.Skip("runs for BenchmarkToken only")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintln(os.Stdout, l.Addr())
	go func() {
		if kind == "http" {
			_ = http.Serve(l, http.HandlerFunc(paced)) //nolint:gosec // of a benchmark
			return
		}
		g := grpc.NewServer()
		pb.RegisterGRPCInferenceServiceServer(g, pacedTriton{})
		_ = g.Serve(l)
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0) // without looking for goroutines left over
}

// paced is a vLLM that says one word again and again.
func paced(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/completions" {
		serve(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	tokens := benchTokens
	if body, _ := io.ReadAll(r.Body); bytes.Contains(body, []byte(`"max_tokens":1,`)) {
		tokens = 1
	}
	for i := range tokens {
		finish := "null"
		if i == tokens-1 {
			finish = `"length"`
		}
		_, _ = fmt.Fprintf(w, "data: {\"id\":\"cmpl-7c1b\",\"object\":\"text_completion\",\"created\":1760000000,\"model\":\"tiny/llama\",\"choices\":[{\"index\":0,\"text\":\" word\",\"logprobs\":null,\"finish_reason\":%s,\"stop_reason\":null}],\"usage\":null}\n\n", finish)
		w.(http.Flusher).Flush()
		if tokens > 1 {
			time.Sleep(benchPace)
		}
	}
	_, _ = io.WriteString(w, done)
}

// pacedTriton says the same as Triton's vLLM backend.
type pacedTriton struct {
	pb.UnimplementedGRPCInferenceServiceServer
}

func (pacedTriton) ModelStreamInfer(s grpc.BidiStreamingServer[pb.ModelInferRequest, pb.ModelStreamInferResponse]) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	for i := range benchTokens {
		if err := s.Send(&pb.ModelStreamInferResponse{InferResponse: &pb.ModelInferResponse{
			ModelName: model, ModelVersion: "1", Id: "1",
			Parameters:        map[string]*pb.InferParameter{"triton_final_response": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: i == benchTokens-1}}},
			Outputs:           []*pb.ModelInferResponse_InferOutputTensor{{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}}},
			RawOutputContents: [][]byte{append(binary.LittleEndian.AppendUint32(nil, 5), " word"...)},
		}}); err != nil {
			return err
		}
		time.Sleep(benchPace)
	}
	return nil
}
