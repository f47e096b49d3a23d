package kserve_test

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/bench/kserve"
	"github.com/sluice-gateway/sluice/gen/inference"
)

func TestPromptIsOneThatVLLMsBackendReads(t *testing.T) {
	ask := kserve.Ask{Model: "m", ID: "7", Tokens: 20, Interval: 5 * time.Millisecond}
	var req inference.ModelInferRequest
	if err := proto.Unmarshal(ask.EncodePrompt(), &req); err != nil {
		t.Fatal(err)
	}
	if req.ModelName != "m" || req.Id != "7" || len(req.Inputs) != 2 || len(req.RawInputContents) != 2 {
		t.Fatalf("request %v", &req)
	}
	for i, want := range []struct{ name, datatype string }{{"text_input", "BYTES"}, {"stream", "BOOL"}} {
		if in := req.Inputs[i]; in.Name != want.name || in.Datatype != want.datatype || len(in.Shape) != 1 || in.Shape[0] != 1 {
			t.Errorf("input %d is %v", i, in)
		}
	}
	got, err := kserve.ReadPrompt(string(req.RawInputContents[0][4:]))
	if err != nil || got != (kserve.Ask{Tokens: 20, Interval: 5 * time.Millisecond}) {
		t.Errorf("read back %+v, %v", got, err)
	}
	if int(req.RawInputContents[0][0]) != len(ask.Prompt()) || !bytes.Equal(req.RawInputContents[1], []byte{1}) {
		t.Errorf("tensors %q", req.RawInputContents)
	}
}

func TestReadPromptRefuses(t *testing.T) {
	for _, text := range []string{"", "Hello", "bench tokens=x interval=1s", "bench tokens=1 interval=soon"} {
		if a, err := kserve.ReadPrompt(text); err == nil {
			t.Errorf("%q gave %+v", text, a)
		}
	}
}

func TestTextDue(t *testing.T) {
	due := time.Unix(1700000000, 123456789)
	say := kserve.NewText(kserve.Ask{})
	text, unique := say.Token(0, due), kserve.NewText(kserve.Ask{Unique: true}).Token(0, due)
	for name, tt := range map[string]struct {
		line string
		ok   bool
	}{
		"alone":     {text, true},
		"unique":    {unique, true},
		"in JSON":   {`data: {"text":"` + text + `"}`, true},
		"the last":  {say.Token(1, time.Unix(1, 0)) + text, true},
		"cut short": {text[:len(text)-1], false},
		"no stamp":  {" token of something else altogether", false},
		"no token":  {"data: {}", false},
	} {
		got, err := kserve.TextDue([]byte(tt.line))
		if tt.ok != (err == nil) || tt.ok && !got.Equal(due) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
