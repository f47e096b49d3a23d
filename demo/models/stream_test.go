package models_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

func TestAnswersKeepTheRequestsOrder(t *testing.T) {
	var requests []*inference.ModelInferRequest
	var want []string
	for i := range 50 {
		id := fmt.Sprint(i)
		want = append(want, id)
		r := addRequest(id)
		if i%7 == 3 {
			r.ModelName = "nope" // a refusal takes its place in the order
		}
		requests = append(requests, r)
	}
	answers, err := stream(t.Context(), t, client(t), requests...)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range answers {
		got = append(got, a.GetInferResponse().GetId())
		last, ok := final(a.GetInferResponse())
		if refused := a.GetErrorMessage() != ""; refused == ok || !refused && !last {
			t.Errorf("%s: final response %v, %v", got[len(got)-1], last, ok)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("order %v", got)
	}
}

func TestDecoupledAnswers(t *testing.T) {
	wanting := func(r *inference.ModelInferRequest, version string) *inference.ModelInferRequest {
		r.Parameters["triton_enable_empty_final_response"] = boolParam(true)
		r.ModelVersion = version
		return r
	}
	for _, tc := range []struct {
		name    string
		request *inference.ModelInferRequest
		data    []int32 // of the answers with data
		bare    bool    // an empty answer follows
		version string  // of that one
	}{
		{"three", repeatRequest("r", 0, 7, -8, 9), []int32{7, -8, 9}, false, ""},
		{"none at all", repeatRequest("r", 0), nil, false, ""},
		{"three and the end", wanting(repeatRequest("r", 0, 7, -8, 9), ""), []int32{7, -8, 9}, true, ""},
		{"nothing but the end", wanting(repeatRequest("r", 0), "1"), nil, true, "1"},
		{"the end shows the version that was asked for", wanting(repeatRequest("r", 0), "1x"), nil, true, "1x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answers, err := stream(t.Context(), t, client(t), tc.request)
			if err != nil {
				t.Fatal(err)
			}
			if tc.bare {
				end := answers[len(answers)-1].GetInferResponse()
				answers = answers[:len(answers)-1]
				if last, _ := final(end); !last || len(end.GetOutputs()) != 0 || end.GetId() != "r" || end.GetModelName() != "repeat_int32" || end.GetModelVersion() != tc.version {
					t.Errorf("the end is %v", end)
				}
			}
			if len(answers) != len(tc.data) {
				t.Fatalf("%d answers with data, want %d", len(answers), len(tc.data))
			}
			for i, a := range answers {
				r := a.GetInferResponse()
				if last, ok := final(r); last || !ok {
					t.Errorf("answer %d: final %v, %v", i, last, ok)
				}
				raw := r.GetRawOutputContents()
				if r.GetModelVersion() != "1" || !slices.Equal(raw[0], int32Data(tc.data[i])) || !slices.Equal(raw[1], int32Data(int32(i))) {
					t.Errorf("answer %d is %v", i, r)
				}
			}
		})
	}
}

func TestDecoupledRefusals(t *testing.T) {
	r := repeatRequest("r", 0, 1)
	r.Inputs[0].Shape = []int64{1, 1}
	answers, err := stream(t.Context(), t, client(t), r)
	const want = "[request id: r] unexpected shape for input 'IN' for model 'repeat_int32'. Expected [-1], got [1,1]. "
	if err != nil || len(answers) != 1 || answers[0].GetErrorMessage() != want || len(answers[0].GetInferResponse().GetParameters()) != 0 {
		t.Errorf("%v, %v; want %q alone", answers, err, want)
	}
}

// TestFailuresInStream: an error of the model's own has the model's name, the
// version as it was asked for, and the flag of the last answer.
func TestFailuresInStream(t *testing.T) {
	uneven := repeatRequest("f", 0, 1, 2)
	uneven.Inputs[1].Shape, uneven.RawInputContents[1] = []int64{1}, int32Data(0)
	uneven.Parameters["triton_enable_empty_final_response"] = boolParam(true)
	all := append(failures(), failure{"IN and DELAY differ", uneven, codes.InvalidArgument, "expected IN and DELAY shape to match, got [2] and [1]"})
	for _, tc := range all {
		t.Run(tc.name, func(t *testing.T) {
			answers, err := stream(t.Context(), t, client(t), tc.request, addRequest("after"))
			if err != nil || len(answers) != 2 {
				t.Fatalf("%v, %v; want the failure and the answer after it", answers, err)
			}
			i := slices.IndexFunc(answers, func(a *inference.ModelStreamInferResponse) bool { return a.GetErrorMessage() != "" })
			r := answers[max(i, 0)].GetInferResponse()
			last, _ := final(r)
			if i < 0 || answers[i].GetErrorMessage() != tc.text || !last || r.GetId() != "f" ||
				r.GetModelName() != tc.request.GetModelName() || r.GetModelVersion() != "" || len(r.GetOutputs()) != 0 {
				t.Errorf("got %v, want %q", answers, tc.text)
			}

			ctx := metadata.AppendToOutgoingContext(t.Context(), "triton_grpc_error", "true")
			_, err = stream(ctx, t, client(t), tc.request)
			wantStatus(t, err, tc.code, tc.text)
		})
	}
}

// TestStatusesAreForFailuresOnly: with triton_grpc_error a refusal is still a
// message, and any other value than "true" asks for nothing.
func TestStatusesAreForFailuresOnly(t *testing.T) {
	for _, tc := range []struct {
		name, value string
		request     *inference.ModelInferRequest
	}{
		{"a refusal", "true", &inference.ModelInferRequest{ModelName: "nope"}},
		{"another value", "True", failures()[0].request},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "triton_grpc_error", tc.value)
			answers, err := stream(ctx, t, client(t), tc.request, addRequest("after"))
			if err != nil || len(answers) != 2 || answers[0].GetErrorMessage() == "" {
				t.Errorf("%v, %v; want a message and the stream to go on", answers, err)
			}
		})
	}
}

func TestDecoupledAnswersInterleave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		answers, err := stream(t.Context(), t, client(t), repeatRequest("slow", 300, 1, 2), repeatRequest("fast", 200, 1, 2), addRequest("at once"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range answers {
			got = append(got, a.GetInferResponse().GetId())
		}
		if want := []string{"at once", "fast", "slow", "fast", "slow"}; !slices.Equal(got, want) {
			t.Errorf("order %v, want %v", got, want)
		}
		if took := time.Since(start); took != 600*time.Millisecond {
			t.Errorf("took %v: a half-closed stream has to wait for its answers", took)
		}
	})
}

func TestCancelledStreamEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		hours := int32(time.Hour.Milliseconds())
		answers, err := stream(ctx, t, c, repeatRequest("long", hours, 1, 2, 3))
		if status.Code(err) != codes.DeadlineExceeded || len(answers) != 0 {
			t.Fatalf("%v, %v", answers, err)
		}
		synctest.Wait()
		if started := time.Now(); !stops(t, c) || time.Since(started) != 0 {
			t.Error("the model runs on")
		}
	})
}

// stops tells whether "repeat_int32" has no request running: unloaded, it would
// be UNLOADING as long as it has.
func stops(t *testing.T, c inference.GRPCInferenceServiceClient) bool {
	t.Helper()
	must[*inference.RepositoryModelUnloadResponse](t)(c.RepositoryModelUnload(t.Context(), &inference.RepositoryModelUnloadRequest{ModelName: "repeat_int32"}))
	return index(t, c)["repeat_int32"] == "1 UNAVAILABLE unloaded"
}

func TestManyDecoupledRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests []*inference.ModelInferRequest
		for range 600 { // more than run at a time
			requests = append(requests, repeatRequest("r", 10, 1))
		}
		answers, err := stream(t.Context(), t, client(t), requests...)
		if err != nil || len(answers) != len(requests) {
			t.Errorf("%d answers, %v; want %d", len(answers), err, len(requests))
		}
	})
}
