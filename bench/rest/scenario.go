package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/bench/kserve"
)

// scenario is the same calls through either door.
type scenario struct {
	name  string
	units int     // calls, or tokens, in one measurement
	bar   float64 // REST may cost so many times what gRPC does; 0 is no bar
	grpc  func(context.Context, *gateway, int) error
	rest  func(context.Context, *gateway, int) error
}

const (
	small  = 128
	large  = maxTensor
	tokens = 20000

	pacedTokens = 1000
	pace        = 2 * time.Millisecond
)

var scenarios = []scenario{
	{"small infer, JSON", 5000, 2, calls(small), posts(smallJSON())},
	{"small infer, binary", 5000, 2, calls(small), posts(binary(small))},
	{"16 MiB infer, binary", 30, 1.3, calls(large), posts(binary(large))},
	{"generate_stream, a token of many", tokens, 1.5, stream(0), generate(0)},
	{"generate_stream, a token every 2 ms", pacedTokens, 1.5, stream(pace), generate(pace)},
}

// measure gives the scenario's row of the table.
func (s scenario) measure(ctx context.Context, g *gateway, rounds int) (string, error) {
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+g.token)
	best := [2]time.Duration{1 << 62, 1 << 62}
	var memory [2]int64
	for range rounds {
		for i, door := range []func(context.Context, *gateway, int) error{s.grpc, s.rest} {
			if err := door(ctx, g, max(s.units/20, 1)); err != nil { // warm up
				return "", err
			}
			if _, err := g.peak(); err != nil {
				return "", err
			}
			before, err := g.cpu()
			if err == nil {
				err = door(ctx, g, s.units)
			}
			if err != nil {
				return "", err
			}
			after, err := g.cpu()
			if err != nil {
				return "", err
			}
			best[i] = min(best[i], (after-before)/time.Duration(s.units))
			if memory[i], err = g.peak(); err != nil {
				return "", err
			}
		}
	}
	const mib = 1 << 20
	return fmt.Sprintf("| %s | %v, %d MiB | %v, %d MiB | %.2f | %v |", s.name, best[0].Round(10*time.Nanosecond), memory[0]/mib,
		best[1].Round(10*time.Nanosecond), memory[1]/mib, float64(best[1])/float64(best[0]), s.bar), nil
}

// calls are unary calls with tensors of n bytes each way.
func calls(n int) func(context.Context, *gateway, int) error {
	request := kserve.Ask{Model: model, Input: n, Output: n}.Encode()
	return func(ctx context.Context, g *gateway, times int) error {
		for range times {
			var answer kserve.Raw
			if err := g.conn.Invoke(ctx, kserve.MethodInfer, kserve.NewRaw(request), &answer); err != nil {
				return err
			}
			answer.Free()
		}
		return nil
	}
}

// body is an HTTP body, of which so many bytes are JSON; 0 is all.
type body struct {
	data []byte
	json int
}

func smallJSON() body {
	data := func(n int) string { return "[" + strings.Repeat("1,", n-1) + "1]" }
	half := small / 2 / 4
	return body{data: fmt.Appendf(nil, `{"parameters":{"bench_input":%d,"bench_output":%d},"inputs":[{"name":"INPUT0","datatype":"INT32","shape":[1,%d],"data":%s},{"name":"INPUT1","datatype":"INT32","shape":[1,%d],"data":%s}]}`,
		small, small, half, data(half), half, data(half))}
}

// binary is a request with one tensor of n bytes behind the JSON.
func binary(n int) body {
	head := fmt.Appendf(nil, `{"parameters":{"bench_input":%d,"bench_output":%d,"binary_data_output":true},"inputs":[{"name":"INPUT0","datatype":"FP32","shape":[1,%d],"parameters":{"binary_data_size":%d}}]}`, n, n, n/4, n)
	return body{append(head, make([]byte, n)...), len(head)}
}

// posts are calls of …/infer.
func posts(b body) func(context.Context, *gateway, int) error {
	return func(ctx context.Context, g *gateway, times int) error {
		for range times {
			if err := g.post(ctx, "infer", b); err != nil {
				return err
			}
		}
		return nil
	}
}

func (g *gateway) post(ctx context.Context, endpoint string, b body) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+g.rest+"/v2/models/"+model+"/"+endpoint, bytes.NewReader(b.data))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+g.token)
	if b.json > 0 {
		r.Header.Set("Inference-Header-Content-Length", strconv.Itoa(b.json))
	}
	resp, err := g.web.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// stream has so many tokens come over a gRPC stream.
func stream(interval time.Duration) func(context.Context, *gateway, int) error {
	return func(ctx context.Context, g *gateway, n int) error { return g.stream(ctx, n, interval) }
}

func (g *gateway) stream(ctx context.Context, n int, interval time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := g.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, kserve.MethodStream)
	if err != nil {
		return err
	}
	ask := kserve.Ask{Model: model, Input: small, Tokens: n, Interval: interval}
	if err := s.SendMsg(kserve.NewRaw(ask.Encode())); err != nil {
		return err
	}
	for range n {
		var answer kserve.Raw
		if err := s.RecvMsg(&answer); err != nil {
			return err
		}
		answer.Free()
	}
	return nil
}

// generate has them come as events of …/generate_stream.
func generate(interval time.Duration) func(context.Context, *gateway, int) error {
	return func(ctx context.Context, g *gateway, n int) error {
		return g.post(ctx, "generate_stream", body{data: fmt.Appendf(nil, `{"bench_tokens":%d,"bench_interval_ns":%d,"bench_input":0}`, n, interval)})
	}
}
