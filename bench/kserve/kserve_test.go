package kserve_test

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/bench/kserve"
	"github.com/sluice-gateway/sluice/gen/inference"
)

func TestRequestIsOneThatTritonReads(t *testing.T) {
	tests := map[string]struct {
		ask    kserve.Ask
		inputs int
	}{
		"small":  {kserve.Ask{Model: "simple", Input: 128, Output: 128}, 2},
		"large":  {kserve.Ask{Model: "big", ID: "7", Input: 1 << 20, Output: 1 << 20}, 1},
		"tokens": {kserve.Ask{Model: "m", Input: 64, Tokens: 9, Interval: 20 * time.Millisecond}, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			msg := tt.ask.Encode()
			var req inference.ModelInferRequest
			if err := proto.Unmarshal(msg, &req); err != nil {
				t.Fatal(err)
			}
			if len(req.ProtoReflect().GetUnknown()) > 0 || req.ModelName != tt.ask.Model || req.Id != tt.ask.ID {
				t.Errorf("read back model %q, id %q", req.ModelName, req.Id)
			}
			if len(req.Inputs) != tt.inputs || len(req.RawInputContents) != tt.inputs {
				t.Fatalf("%d inputs, %d raw, want %d", len(req.Inputs), len(req.RawInputContents), tt.inputs)
			}
			var total int
			for i, in := range req.Inputs {
				if want := 4 * in.Shape[0] * in.Shape[1]; int(want) != len(req.RawInputContents[i]) {
					t.Errorf("%s has shape %v and %d bytes", in.Name, in.Shape, len(req.RawInputContents[i]))
				}
				total += len(req.RawInputContents[i])
			}
			if total != tt.ask.Input {
				t.Errorf("carries %d bytes of tensors, want %d", total, tt.ask.Input)
			}
		})
	}
}

// cut splits b into buffers of n bytes, as a transport may.
func cut(b []byte, n int) mem.BufferSlice {
	var s mem.BufferSlice
	for len(b) > n {
		s = append(s, mem.SliceBuffer(b[:n]))
		b = b[n:]
	}
	return append(s, mem.SliceBuffer(b))
}

func TestReadAskOfAnyCut(t *testing.T) {
	want := kserve.Ask{
		Model: "simple", ID: "q", Input: 1 << 14, Output: 8,
		Tokens: 3, Interval: time.Millisecond,
	}
	msg := want.Encode()
	for _, n := range []int{7, 100, 4096, 9000, len(msg)} {
		got, err := kserve.ReadAsk(cut(msg, n))
		if err != nil || got != want {
			t.Errorf("cut into %d: %+v, %v", n, got, err)
		}
	}
}

func TestReadAskRefuses(t *testing.T) {
	short := kserve.Ask{Model: "m", Input: 4096}.Encode()
	tests := map[string]mem.BufferSlice{
		"nothing":          nil,
		"no model":         cut(kserve.Ask{Input: 4}.Encode(), 1<<20),
		"tensor cut short": cut(short[:3000], 1<<20),
	}
	for name, msg := range tests {
		t.Run(name, func(t *testing.T) {
			if a, err := kserve.ReadAsk(msg); err == nil {
				t.Errorf("read %+v", a)
			}
		})
	}
}

func TestInferAnswer(t *testing.T) {
	answers := kserve.NewAnswers(1 << 10)
	raw, err := answers.Infer(kserve.Ask{Model: "simple", ID: "42", Output: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	var resp inference.ModelInferResponse
	if err := proto.Unmarshal(raw.Materialize(), &resp); err != nil {
		t.Fatal(err)
	}
	if resp.ModelName != "simple" || resp.Id != "42" || len(resp.RawOutputContents[0]) != 1<<10 {
		t.Errorf("answer %q %q", resp.ModelName, resp.Id)
	}
	if _, err := answers.Infer(kserve.Ask{Model: "simple", Output: 1<<10 + 4}); err == nil {
		t.Error("answered with more than there is")
	}
}

func TestTokens(t *testing.T) {
	ask := kserve.Ask{Model: "tokens", Tokens: 2}
	due := time.Unix(1700000000, 123456789)
	for n := range ask.Tokens {
		raw := kserve.Token(ask, n, kserve.NewText(ask).Token(n, due))
		var resp inference.ModelStreamInferResponse
		if err := proto.Unmarshal(raw.Materialize(), &resp); err != nil {
			t.Fatal(err)
		}
		final := resp.InferResponse.Parameters["triton_final_response"].GetBoolParam()
		if final != (n == 1) || resp.InferResponse.ModelName != "tokens" {
			t.Errorf("token %d: final %v, %q", n, final, resp.InferResponse.ModelName)
		}
		if got, err := kserve.TokenDue(raw.BufferSlice); err != nil || !got.Equal(due) {
			t.Errorf("token %d: due %v, %v", n, got, err)
		}
	}
}

// TestTextIsProse holds that the stamps do not make new words of the text's own, which
// begins anew where it ends; and that they do where each token shall be one.
func TestTextIsProse(t *testing.T) {
	const tokens = 5000 // more than the text has
	for unique, most := range map[bool]int{false: 1000, true: tokens + 1} {
		text, seen := kserve.NewText(kserve.Ask{Unique: unique}), map[string]bool{}
		for n := range tokens {
			said := text.Token(n, time.Unix(1700000000, int64(n)))
			for _, word := range strings.FieldsFunc(said, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
				seen[strings.ToLower(word)] = true
			}
		}
		if n := len(seen); n > most || n < most*3/4 {
			t.Errorf("unique %v: %d different words of %d", unique, n, tokens)
		}
	}
}

func TestTokenDueRefusesErrors(t *testing.T) {
	failed, err := proto.Marshal(&inference.ModelStreamInferResponse{
		ErrorMessage: "this is what a server says that cannot go on",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"error": failed, "empty": nil} {
		if _, err := kserve.TokenDue(mem.BufferSlice{mem.SliceBuffer(b)}); err == nil {
			t.Errorf("%s passed as a token", name)
		}
	}
}

func TestCannedAnswersAreReadable(t *testing.T) {
	canned := kserve.Canned("bench")
	var index inference.RepositoryIndexResponse
	if err := proto.Unmarshal(canned["RepositoryIndex"], &index); err != nil {
		t.Fatal(err)
	}
	if m := index.Models[0]; m.Name != "bench" || m.State != "READY" {
		t.Errorf("index holds %v", m)
	}
	var ready inference.ModelReadyResponse
	if err := proto.Unmarshal(canned["ModelReady"], &ready); err != nil || !ready.Ready {
		t.Errorf("ready = %v, %v", ready.Ready, err)
	}
}

func TestCodecTakesRawOnly(t *testing.T) {
	var c kserve.Codec
	if _, err := c.Marshal("text"); err == nil {
		t.Error("sent a string")
	}
	var s string
	if err := c.Unmarshal(nil, &s); err == nil {
		t.Error("received into a string")
	}
	var r kserve.Raw
	if err := c.Unmarshal(kserve.NewRaw([]byte("abc")).BufferSlice, &r); err != nil || r.Len() != 3 {
		t.Errorf("received %d bytes, %v", r.Len(), err)
	}
}
