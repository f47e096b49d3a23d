package masking_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	gate "github.com/sluice-gateway/sluice/interceptors/masking"
	"github.com/sluice-gateway/sluice/wire"
)

var unaryInfo = &grpc.UnaryServerInfo{FullMethod: unaryMethod}

// answered makes a unary call that a backend answers, and reads what comes back.
func (r *rig) answered(t *testing.T, model string, answer *pb.ModelInferResponse) (*pb.ModelInferResponse, error) {
	t.Helper()
	out, err := r.unary(t, ask(model, "1"), func() (any, error) { return message(t, answer), nil })
	if err != nil {
		if out != nil {
			t.Errorf("an error comes with the answer %v", out)
		}
		return nil, err
	}
	m := out.(*wire.Message)
	defer m.Free()
	got := new(pb.ModelInferResponse)
	if err := m.Unmarshal(got); err != nil {
		t.Fatal(err)
	}
	return got, nil
}

func TestUnaryAnswers(t *testing.T) {
	for _, c := range []struct {
		name, model, text, want, trailer string
		except                           bool
	}{
		{"masked", "m", "to " + mail + ", " + mail + " by " + card, "to [EMAIL], [EMAIL] by [CARD]", "CARD=1, EMAIL=2", false},
		{"nothing to mask", "m", "to nobody", "to nobody", "", false},
		{"an empty text", "m", "", "", "", false},
		{"a model that no rule is about", "clear", "to " + mail, "to " + mail, "", false},
		{"who is excepted", "m", "to " + mail, "to " + mail, "", true},
		{"a rule that observes", "documents", "to " + mail, "to " + mail, "", false},
		{"no streams, so no mode is needed", "modeless", "to " + mail, "to [EMAIL]", "EMAIL=1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			if c.except {
				r.reader()
			}
			got, err := r.answered(t, c.model, says(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if texts := textsOf(got); len(texts) != 1 || texts[0] != c.want {
				t.Errorf("got %q, want %q", texts, c.want)
			}
			if trailer := strings.Join(r.trailer[gate.Trailer], "; "); trailer != c.trailer || c.trailer == "" && len(r.trailer) > 0 {
				t.Errorf("the trailer is %q, want %q", trailer, c.trailer)
			}
		})
	}
}

// TestAnAnswerThatIsNotMaskedIsNotCopied: it is the backend's own message.
func TestAnAnswerThatIsNotMaskedIsNotCopied(t *testing.T) {
	for _, model := range []string{"m", "clear", "documents"} {
		r := newRig(t)
		m := message(t, says("nothing"))
		out, err := r.unary(t, ask(model, ""), func() (any, error) { return m, nil })
		if err != nil || out != any(m) {
			t.Errorf("%s: got %v, %v", model, out, err)
		}
		m.Free()
	}
}

func TestUnaryRequestsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		request *pb.ModelInferRequest
		want    string
	}{
		{"an output in shared memory", wants(ask("m", ""), "text", "shared_memory_region", words("r")), "can't be put into shared memory"},
		{"logprobs by name", wants(ask("m", ""), "logprobs", "", nil), "holds the text in another form"},
		{"logprobs by a parameter", &pb.ModelInferRequest{ModelName: "m", Parameters: map[string]*pb.InferParameter{"return_logprobs": boolean(true)}}, "return_logprobs"},
		{"token ids by name", wants(ask("m", ""), "token_ids", "", nil), "holds the text in another form"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			_, err := r.unary(t, c.request, func() (any, error) { t.Error("the backend got it"); return nil, errors.New("no") })
			if reason, text := refusal(err); reason != access.ReasonMasking || !strings.Contains(text, c.want) {
				t.Errorf("got %v", err)
			}
			r.reader()
			ours := errors.New("reached")
			if _, err := r.unary(t, c.request, func() (any, error) { return nil, ours }); !errors.Is(err, ours) {
				t.Errorf("who sees clear text gets %v", err)
			}
		})
	}
}

func TestAnswersThatAreWithheld(t *testing.T) {
	more := says("x")
	more.RawOutputContents = append(more.RawOutputContents, []byte{1, 0, 0, 0, 'x'})
	short := says("x")
	short.RawOutputContents[0][0] = 200
	odd := says("x")
	odd.Outputs[0].Datatype = "bytes"
	for _, c := range []struct {
		name, model, reason string
		answer              *pb.ModelInferResponse
	}{
		{"what a rule blocks", "strict", access.ReasonBlocked, says("no " + serial)},
		{"more data than outputs", "m", access.ReasonMasking, more},
		{"a length that lies", "m", access.ReasonMasking, short},
		{"a datatype that nobody knows", "m", access.ReasonMasking, odd},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			_, err := r.answered(t, c.model, c.answer)
			reason, text := refusal(err)
			if reason != c.reason || strings.Contains(text, serial) {
				t.Errorf("got %v", err)
			}
			if r.call.Masking != true {
				t.Error("the backend's metadata would go to the caller")
			}
		})
	}
}

// TestWhatIsNoAnswer of a model server's is not sent on as one.
func TestWhatIsNoAnswer(t *testing.T) {
	r := newRig(t)
	if _, err := r.unary(t, ask("m", ""), func() (any, error) { return says(mail), nil }); err == nil {
		t.Error("an answer that is no message of wire's is let through")
	}
	if _, err := r.Step().Unary(t.Context(), nil, unaryInfo, nil); err == nil {
		t.Error("a request that is none is let through")
	}
	garbage := func() (any, error) { return wire.FromBytes([]byte{0x0a, 0xff, 0xff, 0xff, 0x7f}), nil }
	if _, err := r.unary(t, ask("m", ""), garbage); err == nil {
		t.Error("garbage is let through")
	}
}

// TestOtherMethodsAreNotMasked: they carry nothing that a model answered.
func TestOtherMethodsAreNotMasked(t *testing.T) {
	r := newRig(t)
	out, err := r.unaryWith(t, t.Context(), pb.GRPCInferenceService_ModelMetadata_FullMethodName, ask("m", ""), func() (any, error) { return mail, nil })
	if out != mail || err != nil || r.call.Masking {
		t.Errorf("got %v, %v", out, err)
	}
}

// TestErrorsOfUnaryCalls: a backend's words are masked and its details left out;
// Sluice's own stay.
func TestErrorsOfUnaryCalls(t *testing.T) {
	detailed, err := status.New(codes.InvalidArgument, "bad "+mail).WithDetails(&errdetails.DebugInfo{Detail: mail})
	if err != nil {
		t.Fatal(err)
	}
	own := &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Message: "write to " + mail}
	other := errors.New("driver " + mail)
	for _, c := range []struct {
		name, model string
		err         error
		want        error
		counted     bool
	}{
		{"a status", "m", status.Error(codes.NotFound, "no "+mail), status.Error(codes.NotFound, "no [EMAIL]"), true},
		{"one with details", "m", detailed.Err(), status.Error(codes.InvalidArgument, "bad [EMAIL]"), true},
		{"one that holds what a rule blocks", "strict", status.Error(codes.Internal, "no "+serial), status.Error(codes.Internal, "[text withheld by the masking policy]"), true},
		{"Sluice's own", "m", own, own, false},
		{"one that the edge shows to nobody", "m", other, other, false},
		{"of a model that no rule is about", "clear", detailed.Err(), detailed.Err(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			out, err := r.unary(t, ask(c.model, ""), func() (any, error) { return nil, c.err })
			if out != nil || !same(err, c.want) {
				t.Errorf("got %v, %v; want %v", out, err, c.want)
			}
			if len(r.call.Masked) > 0 != c.counted {
				t.Errorf("counted %v", r.call.Masked)
			}
			for _, f := range r.found {
				if f.Model != "" {
					t.Errorf("an error's finds are those of the model %q, which the caller chose", f.Model)
				}
			}
		})
	}
}

// same compares statuses with their details, and other errors themselves.
func same(a, b error) bool {
	if errors.Is(a, b) {
		return true
	}
	x, ok := status.FromError(a)
	y, also := status.FromError(b)
	return ok && also && proto.Equal(x.Proto(), y.Proto())
}

// TestAnErrorAfterTheCallsEndIsMasked: a client that set a deadline and does not
// hang up could still read it.
func TestAnErrorAfterTheCallsEndIsMasked(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := r.unaryWith(t, ctx, unaryMethod, ask("m", ""), func() (any, error) {
		cancel()
		return nil, status.Error(codes.Internal, "no "+mail)
	})
	if !same(err, status.Error(codes.Internal, "no [EMAIL]")) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsCounted(t *testing.T) {
	r := newRig(t)
	answer := says(mail + " " + serial)
	answer.Parameters = map[string]*pb.InferParameter{"note": words("see " + mail)}
	if _, err := r.answered(t, "m", answer); err != nil {
		t.Fatal(err)
	}
	if _, err := r.answered(t, "documents", says(mail)); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(r.found, func(a, b access.Found) int { return strings.Compare(a.Entity+a.Model, b.Entity+b.Model) })
	want := []access.Found{{Model: "documents", Entity: "EMAIL", N: 1, Observed: true}, {Model: "m", Entity: "EMAIL", N: 2}, {Model: "m", Entity: "SSN", N: 1}}
	if !slices.Equal(r.found, want) {
		t.Errorf("heard %v, want %v", r.found, want)
	}
	if r.call.Masked["EMAIL"] != 2 || r.call.Masked["SSN"] != 1 || len(r.call.Masked) != 2 || r.call.Observed["EMAIL"] != 1 {
		t.Errorf("the call has %v and %v", r.call.Masked, r.call.Observed)
	}
}
