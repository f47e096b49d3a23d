package masking_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	gate "github.com/sluice-gateway/sluice/interceptors/masking"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
)

// decoupled is what the relay asks of a follower.
func decoupled(f wire.Follower) bool { return f != nil && f.Decoupled() }

// TestStreamedAnswers: each case is the answers to one request, ended as the
// relay ends it; nil is the end without another answer.
func TestStreamedAnswers(t *testing.T) {
	end := (*pb.ModelStreamInferResponse)(nil)
	for _, c := range []struct {
		name    string
		answers []*pb.ModelStreamInferResponse
		want    string // the texts of the answers, joined by |
		counted string
	}{
		{"a value cut in three, and the end", tokens("to ja", "ne.doe@exam", "ple.com now", end), "to ||[EMAIL] |now", "EMAIL=1"},
		{"nothing to mask", tokens("a ", "b ", end), "a |b ", ""},
		{"what is held, at the end", tokens("mail "+mail, end), "mail |[EMAIL]", "EMAIL=1"},
		{"what is held, before an empty final answer", append(tokens("mail "+mail), last("")), "mail |[EMAIL]", "EMAIL=1"},
		{"what is held, in a final answer with data", append(tokens("mail jane.doe@exa"), last("mple.com")), "mail |[EMAIL]", "EMAIL=1"},
		{"what is held, before an error that quotes it", append(tokens("mail "+mail), failed("stuck at "+mail)), "mail |[EMAIL]|!stuck at [EMAIL]", "EMAIL=2"},
		{"what is no value is given back", tokens("x@", end), "|x@", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, in := newRig(t), &client{}
			err := r.open(t, in, func(ss grpc.ServerStream) error {
				f := follow(t, ss)
				for _, answer := range c.answers {
					if err := sendOrEnd(t, ss, f, answer); err != nil {
						return err
					}
				}
				return nil
			}, ask("m", "1"))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSuffix(strings.Join(in.texts(), "|"), "|"); got != strings.TrimSuffix(c.want, "|") {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := strings.Join(in.trailer[gate.Trailer], "; "); got != c.counted || got == "" && len(in.trailer) > 0 {
				t.Errorf("the trailer is %q, want %q", got, c.counted)
			}
		})
	}
}

// tokens are answers with these texts; a nil among them stays one.
func tokens(list ...any) (answers []*pb.ModelStreamInferResponse) {
	for _, one := range list {
		switch one := one.(type) {
		case string:
			answers = append(answers, token(one))
		case *pb.ModelStreamInferResponse:
			answers = append(answers, one)
		}
	}
	return answers
}

func sendOrEnd(t *testing.T, ss grpc.ServerStream, f wire.Follower, answer *pb.ModelStreamInferResponse) error {
	t.Helper()
	if answer == nil {
		return ss.SendMsg(wire.End{Follower: f})
	}
	return send(t, ss, f, answer)
}

// TestHeldAnswersLookLikeTheOthers: a client can't tell that Sluice made them.
func TestHeldAnswersLookLikeTheOthers(t *testing.T) {
	r, in := newRig(t), &client{}
	if err := r.open(t, in, func(ss grpc.ServerStream) error {
		f := follow(t, ss)
		return errors.Join(send(t, ss, f, token(mail)), ss.SendMsg(wire.End{Follower: f}))
	}, ask("m", "1")); err != nil {
		t.Fatal(err)
	}
	if len(in.got) != 2 {
		t.Fatalf("got %v", in.got)
	}
	held := in.got[1].GetInferResponse()
	out := held.GetOutputs()[0]
	if held.GetId() != "1" || held.GetModelName() != "m" || held.GetModelVersion() != "1" || out.GetName() != "text" || out.GetDatatype() != "BYTES" || !slices.Equal(out.GetShape(), []int64{1}) {
		t.Errorf("got %v", held)
	}
	if final := held.GetParameters()["triton_final_response"]; final == nil || final.GetBoolParam() {
		t.Errorf("it says it is the last: %v", held)
	}
}

// TestWhoFollows tells for which requests the relay has to attribute answers.
func TestWhoFollows(t *testing.T) {
	for _, c := range []struct {
		name, model string
		reader      bool
		facts       masking.Facts
		err         error
		follows     bool
		decoupled   bool
	}{
		{"a masked model", "m", false, masking.Facts{Decoupled: true}, nil, true, true},
		{"one with one answer", "m", false, masking.Facts{}, nil, true, false},
		{"one that nothing is known of", "m", false, masking.Facts{Decoupled: true}, errors.New("away"), true, false},
		{"a model that no rule is about", "clear", false, masking.Facts{Decoupled: true}, nil, false, false},
		{"who sees clear text", "m", true, masking.Facts{Decoupled: true}, nil, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, in := newRig(t), &client{}
			r.facts, r.factsErr = c.facts, c.err
			if c.reader {
				r.reader()
			}
			err := r.open(t, in, func(ss grpc.ServerStream) error {
				f := follow(t, ss)
				if f != nil != c.follows || decoupled(f) != c.decoupled {
					t.Errorf("got %#v", f)
				}
				return send(t, ss, f, token(mail))
			}, ask(c.model, "1"))
			if err != nil {
				t.Fatal(err)
			}
			if clear := strings.Contains(strings.Join(in.texts(), ""), mail); clear == c.follows {
				t.Errorf("got %q", in.texts())
			}
		})
	}
}

func TestStreamRequestsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		request *pb.ModelInferRequest
		want    string
	}{
		{"an output in shared memory", wants(ask("m", "7"), "text", "shared_memory_region", words("r")), "can't be put into shared memory"},
		{"logprobs", wants(ask("m", "7"), "logprobs", "", nil), "holds the text in another form"},
		{"a text whose mode nobody knows, asked for", wants(ask("modeless", "7"), "text", "", nil), "the rule needs the key mode"},
		{"one that comes unasked", ask("modeless", "7"), "the rule needs the key mode"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, in := newRig(t), &client{}
			r.facts.Outputs = map[string]string{"text": "BYTES"}
			err := r.open(t, in, func(ss grpc.ServerStream) error {
				var m wire.Message
				err := ss.RecvMsg(&m)
				m.Free()
				refused := new(access.MessageError)
				if !errors.As(err, &refused) || refused.ID != "7" || refused.Err.Reason != access.ReasonMasking || !strings.Contains(refused.Err.Message, c.want) {
					t.Errorf("got %v", err)
				}
				if f := follow(t, ss); f == nil {
					t.Error("the next request is not followed")
				}
				return nil
			}, c.request, ask("m", "8"))
			if err != nil {
				t.Fatal(err)
			}
			if len(r.heard) != 1 || r.heard[0].ID != "7" || r.heard[0].Refused == nil || r.heard[0].Verb != access.Infer {
				t.Errorf("recorded: %+v", r.heard)
			}
		})
	}
}

// TestAModeThatIsMissingShowsInTheAnswer where nobody knew the outputs before.
func TestAModeThatIsMissingShowsInTheAnswer(t *testing.T) {
	r, in := newRig(t), &client{}
	err := r.open(t, in, func(ss grpc.ServerStream) error { return send(t, ss, follow(t, ss), token(mail)) }, ask("modeless", "1"))
	reason, text := refusal(err)
	if reason != access.ReasonMasking || !strings.Contains(text, "the rule needs the key mode") || len(in.got) > 0 {
		t.Errorf("got %v and %v", err, in.got)
	}
}

// TestWhatARuleBlocksInMidStream ends that request alone: its other answers and
// what is held of it go nowhere, and nobody else's request notices.
func TestWhatARuleBlocksInMidStream(t *testing.T) {
	r, in := newRig(t), &client{}
	err := r.open(t, in, func(ss grpc.ServerStream) error {
		strict, other := follow(t, ss), follow(t, ss)
		if err := errors.Join(send(t, ss, strict, token("it is 536-90-")), send(t, ss, other, token("mail jane.doe@"))); err != nil {
			t.Error(err)
		}
		refused := new(access.MessageError)
		if err := send(t, ss, strict, token("4399, by "+mail)); !errors.As(err, &refused) || refused.ID != "1" || refused.Err.Reason != access.ReasonBlocked {
			t.Errorf("got %v", err)
		}
		for _, answer := range append(tokens("more", mail), failed("no "+serial), last("")) {
			if err := send(t, ss, strict, answer); err != nil {
				t.Error(err)
			}
		}
		return errors.Join(ss.SendMsg(wire.End{Follower: strict}), send(t, ss, other, token("example.com!")), ss.SendMsg(wire.End{Follower: other}))
	}, ask("strict", "1"), ask("m", "2"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(in.texts(), "|"), "it is |mail |[EMAIL]!"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(r.heard) != 1 || r.heard[0].ID != "1" || r.heard[0].Model != "strict" || r.heard[0].Refused.Reason != access.ReasonBlocked {
		t.Errorf("recorded: %+v", r.heard)
	}
	if strings.Contains(fmt.Sprint(r.heard), serial) {
		t.Error("the record has the value")
	}
}

// TestWhatARuleBlocksAtTheEnd is refused at the end.
func TestWhatARuleBlocksAtTheEnd(t *testing.T) {
	r, in := newRig(t), &client{}
	err := r.open(t, in, func(ss grpc.ServerStream) error {
		f := follow(t, ss)
		if err := send(t, ss, f, token(serial)); err != nil {
			t.Error(err)
		}
		return ss.SendMsg(wire.End{Follower: f})
	}, ask("strict", "1"))
	if reason, _ := refusal(err); reason != access.ReasonBlocked || strings.Join(in.texts(), "") != "" {
		t.Errorf("got %v and %q", err, in.texts())
	}
}

// TestTwoRequestsHaveTwoTexts: halves of a value that belong to two requests are
// none, and the halves of one are put together across the other's.
func TestTwoRequestsHaveTwoTexts(t *testing.T) {
	r, in := newRig(t), &client{}
	err := r.open(t, in, func(ss grpc.ServerStream) error {
		a, b := follow(t, ss), follow(t, ss)
		return errors.Join(
			send(t, ss, a, token("A jane.doe@")), send(t, ss, b, token("B jane.doe@")),
			send(t, ss, b, token(" ")), send(t, ss, a, token("example.com ")),
			ss.SendMsg(wire.End{Follower: a}), ss.SendMsg(wire.End{Follower: b}))
	}, ask("m", "1"), ask("m", "2"))
	if got, want := strings.Join(in.texts(), "|"), "A |B |jane.doe@ |[EMAIL] "; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// TestWhatIsNotFollowedGoesAsItIs, answers, refusals and ends.
func TestWhatIsNotFollowedGoesAsItIs(t *testing.T) {
	r, in := newRig(t), &client{}
	err := r.open(t, in, func(ss grpc.ServerStream) error {
		f := follow(t, ss)
		return errors.Join(send(t, ss, nil, token(mail)), ss.SendMsg(failed("own words on "+mail)), ss.SendMsg(wire.End{}), ss.SendMsg(wire.End{Follower: other{}}), send(t, ss, f, last("x")))
	}, ask("m", "1"))
	if got, want := strings.Join(in.texts(), "|"), mail+"|!own words on "+mail+"|x"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// other is a follower of somebody else's.
type other struct{}

func (other) Decoupled() bool { return true }

// everywhere masks mail and card in all models but "clear", mail alone in "modeless".
func everywhere(t *testing.T, models []string) *masking.Policy {
	t.Helper()
	var d masking.Document
	for _, model := range models {
		one := masking.Rule{Name: "pii-" + model, Models: []string{model}, Mode: masking.Delta, Entities: []masking.Entity{{Name: "EMAIL"}}}
		if model != "modeless" {
			one.Entities = append(one.Entities, masking.Entity{Name: "CARD"})
		}
		if model != "clear" {
			d.Masking = append(d.Masking, one)
		}
	}
	p, problems := masking.Compile([]masking.File{{Name: "policy.yaml", Document: d}}, masking.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// TestAReloadIsForTheNextRequest: what is under way keeps its rules, whether
// rules come or go.
func TestAReloadIsForTheNextRequest(t *testing.T) {
	nothing, _ := masking.Compile(nil, masking.Options{})
	for _, c := range []struct {
		name          string
		before, after *masking.Policy
		want          string
	}{
		{"rules come", nothing, rules(t), "A " + mail + " B [EMAIL] "},
		{"rules go", rules(t), nothing, "A [EMAIL] B " + mail + " "},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, in := newRig(t), &client{}
			r.Engine.Replace(c.before)
			if err := r.open(t, in, func(ss grpc.ServerStream) error {
				first := follow(t, ss)
				r.Engine.Replace(c.after)
				second := follow(t, ss)
				return errors.Join(
					send(t, ss, first, token("A jane.doe@exam")), send(t, ss, first, last("ple.com ")),
					send(t, ss, second, token("B jane.doe@exam")), send(t, ss, second, last("ple.com ")))
			}, ask("m", "1"), ask("m", "2")); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(in.texts(), ""); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestStreamsOfOtherThings are none of the step's.
func TestStreamsOfOtherThings(t *testing.T) {
	r := newRig(t)
	ss := &client{ctx: t.Context()}
	err := r.Step().Stream(nil, ss, &grpc.StreamServerInfo{FullMethod: "/grpc.health.v1.Health/Watch"}, func(_ any, got grpc.ServerStream) error {
		if got != grpc.ServerStream(ss) {
			t.Error("the stream is not the caller's own")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	err = r.open(t, &client{}, func(ss grpc.ServerStream) error { return ss.RecvMsg(new(pb.ModelInferRequest)) })
	if !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}
