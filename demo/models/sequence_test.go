package models_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// step is one request of a sequence, whose flags are always both there, as
// tritonclient sends them.
func step(id *inference.InferParameter, start, end bool, v int32) *inference.ModelInferRequest {
	r := request("simple_sequence", "", tensor{"INPUT", "INT32", []int64{1, 1}, int32Data(v)})
	r.Parameters = map[string]*inference.InferParameter{"sequence_id": id, "sequence_start": boolParam(start), "sequence_end": boolParam(end)}
	return r
}

// TestSequences runs two sequences at a time, as Triton's example client does.
func TestSequences(t *testing.T) {
	for _, tc := range []struct {
		name string
		a, b *inference.InferParameter
	}{
		{"numbers", intParam(1007), intParam(1008)},
		{"names", stringParam("a"), stringParam("b")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answers, err := stream(t.Context(), t, client(t),
				step(tc.a, true, false, 0), step(tc.b, true, false, 100), step(tc.a, false, false, 11), step(tc.b, false, false, -11), step(tc.a, false, true, 7), step(tc.b, false, true, -7),
				step(tc.a, false, false, 5)) // it has ended
			if err != nil || len(answers) != 7 {
				t.Fatalf("%v, %v", answers, err)
			}
			var got []byte
			for _, a := range answers[:6] {
				got = append(got, a.GetInferResponse().GetRawOutputContents()[0]...)
			}
			if !slices.Equal(got, int32Data(1, 101, 11, -11, 7, -7)) {
				t.Errorf("got %x", got)
			}
			if !strings.Contains(answers[6].GetErrorMessage(), "must specify the START flag") {
				t.Errorf("after the end: %v", answers[6])
			}
		})
	}
}

func TestSequenceGrowsIdle(t *testing.T) {
	for _, tc := range []struct {
		name string
		idle time.Duration
		code codes.Code
	}{{"in time", 5 * time.Second, codes.OK}, {"too late", 5*time.Second + 1, codes.InvalidArgument}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t)
				must[*inference.ModelInferResponse](t)(c.ModelInfer(t.Context(), step(intParam(1), true, false, 0)))
				time.Sleep(tc.idle)
				if _, err := c.ModelInfer(t.Context(), step(intParam(1), false, false, 0)); status.Code(err) != tc.code {
					t.Errorf("%v, want %v", err, tc.code)
				}
			})
		})
	}
}

// TestSequencesAreBounded: their ids are the client's to choose.
func TestSequencesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t)
		for i := range int64(4096) {
			must[*inference.ModelInferResponse](t)(c.ModelInfer(t.Context(), step(intParam(i+1), true, false, 0)))
		}
		_, err := c.ModelInfer(t.Context(), step(intParam(5000), true, false, 0))
		wantStatus(t, err, codes.Unavailable, "Exceeds maximum queue size")
		time.Sleep(6 * time.Second)
		must[*inference.ModelInferResponse](t)(c.ModelInfer(t.Context(), step(intParam(5000), true, false, 0)))
		_, err = c.ModelInfer(t.Context(), step(stringParam(strings.Repeat("x", 129)), true, false, 0))
		wantStatus(t, err, codes.Unimplemented, "string correlation ID cannot be longer than 128 characters")
	})
}
