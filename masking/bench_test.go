package masking_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
)

// ten are the common entities.
var ten = entities("EMAIL", "CARD", "SSN", "PHONE", "IBAN", "IP", "MAC", "JWT", "PRIVATE_KEY", "AWS_KEY")

func encoded(b *testing.B, m proto.Message) []byte {
	b.Helper()
	bytes, err := proto.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}

// BenchmarkToken masks an answer of one clean token of 4 bytes.
func BenchmarkToken(b *testing.B) {
	for _, format := range []masking.Format{masking.Text, masking.JSON} {
		b.Run(string(format), func(b *testing.B) {
			p := plan(b, redacts(func(r *masking.Rule) { r.Entities, r.Format = ten, format }))
			one := encoded(b, answer(false, output(output(&pb.ModelInferResponse{}, raw, "text_output", " the"), raw, "finish_reason", "None")))
			s := p.Answers(decoupled)
			m := new(wire.Message)
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Take(wire.New(mem.BufferSlice{mem.SliceBuffer(one)})); err != nil {
					b.Fatal(err)
				}
				_, masked, refused := s.Mask(b.Context(), m)
				if refused != nil {
					b.Fatal(refused)
				}
				if masked != m {
					masked.Free()
				}
				m.Reset()
			}
		})
	}
}

// BenchmarkUnary masks an answer of 64 KiB, clean and with a match a line in a hundred.
func BenchmarkUnary(b *testing.B) {
	line := "The quick brown fox jumps over the lazy dog on day 17 of its year. "
	clean := strings.Repeat(line, 100)
	texts := map[string]string{
		"clean":   strings.Repeat(clean, 10),
		"matches": strings.Repeat(clean+"jane.doe@example.com ", 10),
	}
	for name, text := range texts {
		for _, format := range []masking.Format{masking.Text, masking.JSON} {
			b.Run(name+"/"+string(format), func(b *testing.B) {
				if format == masking.JSON {
					text = `{"text": "` + text + `"}`
				}
				p := plan(b, redacts(func(r *masking.Rule) { r.Entities, r.Format = ten, format }))
				one := encoded(b, output(&pb.ModelInferResponse{}, raw, "out", text))
				b.SetBytes(int64(len(one)))
				b.ReportAllocs()
				for b.Loop() {
					m := wire.FromBytes(one)
					out, refused := p.Unary(b.Context(), m, nil)
					if refused != nil {
						b.Fatal(refused)
					}
					if out != m {
						out.Free()
					}
					m.Free()
				}
			})
		}
	}
}

// BenchmarkPlan finds the plan of a call.
func BenchmarkPlan(b *testing.B) {
	p := compile(b, masking.Document{Masking: []masking.Rule{
		redacts(func(r *masking.Rule) { r.Models, r.Except = []string{"chat-*"}, []string{"readers"} }),
	}}, masking.Options{})
	e := masking.NewEngine(p)
	who := member("a", "b", "readers2")
	for _, model := range []string{"chat-1", "ranker"} {
		b.Run(model, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.Plan(who, model)
			}
		})
	}
}
