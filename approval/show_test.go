package approval_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// masked is a mask that knows one secret.
func masked(text string) string { return strings.ReplaceAll(text, "4111 1111 1111 1111", "[CARD]") }

const card = "4111 1111 1111 1111"

func hash(b string) string {
	sum := sha256.Sum256([]byte(b))
	return hex.EncodeToString(sum[:])
}

func part(t *testing.T, s *approval.Summary, name string) approval.Part {
	t.Helper()
	for _, p := range s.Parts {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("%s is not shown: %+v", name, s.Parts)
	return approval.Part{}
}

func TestALoadIsShownByItsFiles(t *testing.T) {
	of := func(s string) *pb.ModelRepositoryParameter {
		return &pb.ModelRepositoryParameter{ParameterChoice: &pb.ModelRepositoryParameter_StringParam{StringParam: s}}
	}
	m := &pb.RepositoryModelLoadRequest{ModelName: "m", Parameters: map[string]*pb.ModelRepositoryParameter{
		"config":       of(`{"owner": "` + card + `"}`),
		"file:1/model": {ParameterChoice: &pb.ModelRepositoryParameter_BytesParam{BytesParam: []byte("weights")}},
		"file:1/text":  of("as text " + card),
		"note":         of(strings.Repeat("n", 20<<10) + card),
		"flag":         {ParameterChoice: &pb.ModelRepositoryParameter_BoolParam{BoolParam: true}},
		"nothing":      {},
	}}
	s := approval.ShowControl(m, masked)
	if p := part(t, s, "file:1/model"); p.Kind != approval.PartFile || p.Bytes != 7 || p.SHA256 != hash("weights") || p.Text != "" {
		t.Errorf("the file is shown as %+v", p)
	}
	if p := part(t, s, "file:1/text"); p.Kind != approval.PartFile || p.SHA256 == "" || p.Text != "" {
		t.Errorf("the file that is text is shown as %+v", p)
	}
	if p := part(t, s, "config"); p.Kind != approval.PartConfig || p.Text != `{"owner": "[CARD]"}` || p.Cut {
		t.Errorf("the configuration is shown as %+v", p)
	}
	if p := part(t, s, "note"); !p.Cut || len(p.Text) != 512 || p.Bytes != 20<<10+len(card) || p.SHA256 == "" {
		t.Errorf("a long text is shown as %+v", p)
	}
	if p := part(t, s, "flag"); p.Type != "bool" || p.Text != "true" {
		t.Errorf("a flag is shown as %+v", p)
	}
	if text, _ := json.Marshal(s); strings.Contains(string(text), card) {
		t.Errorf("what is masked is shown: %s", text)
	}
	if text, _ := json.Marshal(approval.ShowControl(m, nil)); strings.Contains(string(text), "owner") {
		t.Errorf("without a mask texts are shown: %s", text)
	}
}

// raw is texts as a BYTES tensor has them.
func raw(texts ...string) (b []byte) {
	for _, s := range texts {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	return b
}

func TestAnInferIsShownByItsTensors(t *testing.T) {
	m := &pb.ModelInferRequest{
		ModelName: "m", Parameters: map[string]*pb.InferParameter{"system": str("pay " + card), "n": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 7}}},
		Inputs: []*pb.ModelInferRequest_InferInputTensor{
			{Name: "prompt", Datatype: "BYTES", Shape: []int64{2}},
			{Name: "x", Datatype: "FP32", Shape: []int64{1}},
			{Name: "typed", Datatype: "BYTES", Shape: []int64{1}, Contents: &pb.InferTensorContents{BytesContents: [][]byte{[]byte("my " + card)}}},
		},
		Outputs:          []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "out"}},
		RawInputContents: [][]byte{raw("card "+card, "second"), {1, 2, 3, 4}},
	}
	s := approval.ShowInfer(wire.FromBytes(marshal(t, m)), masked)
	if p := part(t, s, "prompt"); p.Kind != approval.PartInput || p.Text != "card [CARD]\nsecond" || p.SHA256 != hash(string(m.RawInputContents[0])) || p.Shape[0] != 2 {
		t.Errorf("the prompt is shown as %+v", p)
	}
	if p := part(t, s, "x"); p.Text != "" || p.Bytes != 4 || p.SHA256 != hash("\x01\x02\x03\x04") {
		t.Errorf("numbers are shown as %+v", p)
	}
	if p := part(t, s, "typed"); p.Text != "my [CARD]" {
		t.Errorf("a typed text is shown as %+v", p)
	}
	if p := part(t, s, "system"); p.Type != "string" || p.Text != "pay [CARD]" {
		t.Errorf("a parameter is shown as %+v", p)
	}
	if p := part(t, s, "n"); p.Type != "int64" || p.Text != "7" {
		t.Errorf("a number is shown as %+v", p)
	}
	if p := part(t, s, "out"); p.Kind != approval.PartOutput {
		t.Errorf("an output is shown as %+v", p)
	}
}

func TestTypedTextIsShownWithTheHashOfAllOfIt(t *testing.T) {
	texts := []string{"first", strings.Repeat("x", 20<<10) + "the end"}
	m := &pb.ModelInferRequest{Inputs: []*pb.ModelInferRequest_InferInputTensor{
		{Name: "typed", Datatype: "BYTES", Contents: &pb.InferTensorContents{BytesContents: [][]byte{[]byte(texts[0]), []byte(texts[1])}}},
	}}
	p := part(t, approval.ShowInfer(scattered(marshal(t, m), 1000), masked), "typed")
	if want := string(raw(texts...)); p.Bytes != len(want) || p.SHA256 != hash(want) || !p.Cut {
		t.Errorf("it is shown as %d bytes %s, want %d %s", p.Bytes, p.SHA256, len(want), hash(want))
	}
}

func TestDataThatServersReadInTwoWaysIsNotShown(t *testing.T) {
	typed := &pb.InferTensorContents{BytesContents: [][]byte{[]byte("harmless")}}
	for name, c := range map[string]struct {
		contents []*pb.InferTensorContents
		raws     int
		refused  bool
	}{
		"typed":                       {[]*pb.InferTensorContents{typed, typed}, 0, false},
		"raw":                         {[]*pb.InferTensorContents{nil, nil}, 2, false},
		"none":                        {nil, 0, false},
		"typed beside raw":            {[]*pb.InferTensorContents{typed}, 1, true},
		"typed, and raw of another":   {[]*pb.InferTensorContents{typed, nil}, 1, true},
		"empty contents beside raw":   {[]*pb.InferTensorContents{{}}, 1, true},
		"more raw than inputs":        {[]*pb.InferTensorContents{nil}, 2, true},
		"raw, and an input with none": {[]*pb.InferTensorContents{nil, nil}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := &pb.ModelInferRequest{ModelName: "m"}
			for _, contents := range c.contents {
				m.Inputs = append(m.Inputs, &pb.ModelInferRequest_InferInputTensor{Name: "prompt", Datatype: "BYTES", Contents: contents})
			}
			for range c.raws {
				m.RawInputContents = append(m.RawInputContents, raw("push the button"))
			}
			err := approval.CheckShown(wire.FromBytes(marshal(t, m)))
			if c.refused {
				refused(t, err, access.Malformed, access.ReasonMalformed, "two ways")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWhatIsCutShowsNoPieceOfASecret puts a secret at each place around the borders
// of what is masked and of what is shown.
func TestWhatIsCutShowsNoPieceOfASecret(t *testing.T) {
	for _, border := range []int{512, 8 << 10} {
		for at := border - len(card) - 2; at <= border+2; at++ {
			text := strings.Repeat(".", at) + card + strings.Repeat(".", 9<<10)
			m := &pb.ModelInferRequest{Parameters: map[string]*pb.InferParameter{"p": str(text)}}
			p := approval.ShowInfer(wire.FromBytes(marshal(t, m)), masked).Parts[0]
			if strings.Contains(p.Text, "4111") || !p.Cut || p.Bytes != len(text) {
				t.Fatalf("a secret at %d shows as %q", at, strings.Trim(p.Text, "."))
			}
		}
	}
}

// files is a load of n files, whose names are that long at least.
func files(n, long int) *pb.RepositoryModelLoadRequest {
	m := &pb.RepositoryModelLoadRequest{ModelName: "prod-simple", Parameters: map[string]*pb.ModelRepositoryParameter{}}
	for i := range n {
		name := fmt.Sprintf("file:%03d/", i)
		name += strings.Repeat("f", max(0, long-len(name)))
		m.Parameters[name] = &pb.ModelRepositoryParameter{ParameterChoice: &pb.ModelRepositoryParameter_BytesParam{BytesParam: fmt.Append(nil, i)}}
	}
	return m
}

// TestEachFileOfALoadIsShown, up to the bound; beyond it nobody is asked, since he would
// agree to what he can't see.
func TestEachFileOfALoadIsShown(t *testing.T) {
	settings := &pb.TraceSettingRequest{Settings: map[string]*pb.TraceSettingRequest_SettingValue{"level": {Value: strings.Split(strings.Repeat("x ", 100)+"LAST", " ")}}}
	if p := part(t, approval.ShowControl(settings, masked), "level"); !strings.HasSuffix(p.Text, "LAST") || p.Cut {
		t.Errorf("a long list is shown as %+v", p)
	}
	for name, c := range map[string]struct {
		show  func() *approval.Summary
		shown int
	}{
		"as many as are shown":             {func() *approval.Summary { return approval.ShowControl(files(512, 0), masked) }, 512},
		"one more":                         {func() *approval.Summary { return approval.ShowControl(files(513, 0), masked) }, 0},
		"a long name":                      {func() *approval.Summary { return approval.ShowControl(files(2, 256), masked) }, 2},
		"a longer name":                    {func() *approval.Summary { return approval.ShowControl(files(2, 257), masked) }, 0},
		"names that are too long together": {func() *approval.Summary { return approval.ShowControl(files(500, 250), masked) }, 0},
		"a shape that is too long": {func() *approval.Summary {
			return approval.ShowInfer(wire.FromBytes(marshal(t, &pb.ModelInferRequest{Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "x", Shape: make([]int64, 17)}}})), masked)
		}, 0},
		"an input's long name": {func() *approval.Summary {
			return approval.ShowInfer(wire.FromBytes(marshal(t, &pb.ModelInferRequest{Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: strings.Repeat("n", 300)}}})), masked)
		}, 0},
		"a parameter's long name": {func() *approval.Summary {
			return approval.ShowInfer(wire.FromBytes(marshal(t, &pb.ModelInferRequest{Parameters: map[string]*pb.InferParameter{strings.Repeat("n", 300): str("")}})), masked)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				ask := unload()
				ask.Show = c.show
				call := r.admit(ask)
				if c.shown == 0 {
					refused(t, r.ended(call).err, access.Malformed, access.ReasonMalformed, "512", "256", "128 KiB")
					if r.count("") != 0 {
						t.Error("people are asked")
					}
					return
				}
				covers := r.pending().Covers
				if len(covers.Parts) != c.shown || covers.More != 0 {
					t.Fatalf("%d are shown and %d more", len(covers.Parts), covers.More)
				}
				for i, p := range covers.Parts {
					if p.Kind != approval.PartFile || p.SHA256 != hash(fmt.Sprint(i)) || p.Bytes != len(fmt.Sprint(i)) {
						t.Fatalf("file %d is shown as %+v", i, p)
					}
				}
			})
		})
	}
}

// TestWhatIsShownIsBounded: of many long texts the first are shown, and the hash of each.
func TestWhatIsShownIsBounded(t *testing.T) {
	m := &pb.ModelInferRequest{}
	for i := range 500 {
		m.Inputs = append(m.Inputs, &pb.ModelInferRequest_InferInputTensor{Name: fmt.Sprint(i), Datatype: "BYTES", Shape: make([]int64, 1)})
		m.RawInputContents = append(m.RawInputContents, raw(strings.Repeat("é", 1<<10)))
	}
	s := approval.ShowInfer(wire.FromBytes(marshal(t, m)), masked)
	text, err := json.Marshal(s)
	if err != nil || len(text) > 128<<10 || len(s.Parts) != 500 || s.More != 0 {
		t.Errorf("%d bytes are shown, %d parts and %d more, %v", len(text), len(s.Parts), s.More, err)
	}
	if p := s.Parts[499]; !p.Cut || p.Text != "" || p.SHA256 != hash(string(m.RawInputContents[499])) {
		t.Errorf("the last is shown as %+v", p)
	}
}

// TestEachTypeOfParameterIsShown: an approver sees numbers as they were asked for, and
// that a parameter has no value.
func TestEachTypeOfParameterIsShown(t *testing.T) {
	m := &pb.ModelInferRequest{Parameters: map[string]*pb.InferParameter{
		"bool":    {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}},
		"int64":   {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: -7}},
		"uint64":  {ParameterChoice: &pb.InferParameter_Uint64Param{Uint64Param: 1<<64 - 1}},
		"double":  {ParameterChoice: &pb.InferParameter_DoubleParam{DoubleParam: 0.25}},
		"string":  str("a"),
		"nothing": {},
	}}
	s := approval.ShowInfer(wire.FromBytes(marshal(t, m)), masked)
	for typ, text := range map[string]string{"bool": "true", "int64": "-7", "uint64": "18446744073709551615", "double": "0.25", "string": "a", "nothing": ""} {
		if p := part(t, s, typ); p.Kind != approval.PartParameter || p.Type != typ || p.Text != text || p.Cut {
			t.Errorf("%s is shown as %+v, want %q", typ, p, text)
		}
	}
}
