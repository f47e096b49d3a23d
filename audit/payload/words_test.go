package payload

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
)

func sorted(s wordSet) []string { return slices.Sorted(maps.Keys(s)) }

// TestPlainTextsHaveTheirWords: a text has the same words as one that is normalized and
// split as a whole, of which the search makes its own.
func TestPlainTextsHaveTheirWords(t *testing.T) {
	parts := []string{
		"a", "Ab", "ABC9", " ", "  ", "\n", "\t", ".", "-", "'", "don't", "é", "e\u0301", "\u0301", "Ä", "ﬁ", "１２", "中文", "ß", "İ", "\u00a0", "\u2003",
		"\xff", "<", "\u0338", "K", strings.Repeat("x", maxWord-1), strings.Repeat("y", maxWord), strings.Repeat("z", maxWord+1), "\U0001f600", "\u1100", "\u1161",
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20000 {
		text := ""
		for range rng.IntN(9) {
			text += parts[rng.IntN(len(parts))]
		}
		want, got := wordSet{}, wordSet{}
		want.addOther(text)
		if got.add(text); !maps.Equal(got, want) {
			t.Fatalf("%q has the words %q, want %q", text, sorted(got), sorted(want))
		}
	}
}

func TestWordsEndAtTheirBound(t *testing.T) {
	many := make([]string, MaxWords+10)
	for i := range many {
		many[i] = "w" + strings.Repeat("a", i%50+1) + string(rune('a'+i%26)) + string(rune('a'+i/26))
	}
	for _, blank := range []string{" ", "-", " é ", "é-"} {
		s := wordSet{}
		s.add(strings.Join(many, blank))
		if s.add("more words"); len(s) != MaxWords {
			t.Errorf("%q: %d words", blank, len(s))
		}
	}
}

// answer is an answer of a stream with outputs of text; others are its raw outputs.
func answer(t *testing.T, id string, typed bool, texts ...string) Frame {
	t.Helper()
	m := &pb.ModelInferResponse{Id: id}
	for i, text := range texts {
		out := &pb.ModelInferResponse_InferOutputTensor{Name: strings.Repeat("o", i+1), Datatype: "BYTES", Shape: []int64{1}}
		if m.Outputs = append(m.Outputs, out); typed {
			out.Contents = &pb.InferTensorContents{BytesContents: [][]byte{[]byte(text)}}
			continue
		}
		m.RawOutputContents = append(m.RawOutputContents, append(binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text...))
	}
	b, err := proto.Marshal(&pb.ModelStreamInferResponse{InferResponse: m})
	if err != nil {
		t.Fatal(err)
	}
	return Frame{Kind: Stream, Message: b}
}

// TestWordsOfAnswersAlike: answers that are like the one before are read by that, and
// no word of another one is lost or put to another text's.
func TestWordsOfAnswersAlike(t *testing.T) {
	broken := answer(t, "1", false, "hel")
	broken.Message[len(broken.Message)-7] = 200 // the length of the element
	for name, c := range map[string]struct {
		frames []Frame
		want   []string
	}{
		"tokens":              {[]Frame{answer(t, "1", false, "hel"), answer(t, "1", false, "lo wo"), answer(t, "1", false, "rld")}, []string{"hello", "world"}},
		"another head":        {[]Frame{answer(t, "1", false, "hel"), answer(t, "1", false, "lo"), answer(t, "2", false, "wo"), answer(t, "2", false, "rld")}, []string{"helloworld"}},
		"typed in between":    {[]Frame{answer(t, "1", false, "hel"), answer(t, "1", true, "lo"), answer(t, "1", false, "wo")}, []string{"hellowo"}},
		"two outputs":         {[]Frame{answer(t, "1", false, "hel", "wo"), answer(t, "1", false, "lo", "rld")}, []string{"hello", "world"}},
		"an output less":      {[]Frame{answer(t, "1", false, "hel", "wo"), answer(t, "1", false, "lo"), answer(t, "1", false, "la", "rld")}, []string{"hellola", "world"}},
		"an element too long": {[]Frame{answer(t, "1", false, "hel"), broken, answer(t, "1", false, "lo")}, []string{"hello"}},
		"nothing at all":      {[]Frame{{Kind: Stream}, {Kind: Stream, Cut: true}}, nil},
	} {
		if got := sorted(words(&Content{Frames: c.frames})); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
