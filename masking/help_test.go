package masking_test

import (
	"encoding/binary"
	"flag"
	"os"
	"testing"

	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
	"github.com/sluice-gateway/sluice/wire/wiretest"
)

// pool is gRPC's default pool in all tests but benchmarks.
var pool = wiretest.NewPool()

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == "" {
		experimental.SetDefaultBufferPool(pool)
	}
	os.Exit(m.Run())
}

// checkBuffers fails a test that leaves a buffer behind, or frees one twice.
func checkBuffers(t *testing.T) {
	t.Helper()
	before := wire.FreedAgain()
	t.Cleanup(func() {
		pool.Check(t)
		if n := wire.FreedAgain() - before; n != 0 {
			t.Errorf("%d messages were freed twice", n)
		}
	})
}

// compile makes a policy of rules, which must have no problems.
func compile(t testing.TB, d masking.Document, opts masking.Options) *masking.Policy {
	t.Helper()
	p, problems := masking.Compile([]masking.File{{Name: "policy.yaml", Document: d}}, opts)
	for _, problem := range problems {
		t.Errorf("unexpected problem: %s", problem)
	}
	if len(problems) > 0 {
		t.FailNow()
	}
	return p
}

// plan is what rules say of model "m" for nobody in particular.
func plan(t testing.TB, rules ...masking.Rule) *masking.Plan {
	t.Helper()
	p := compile(t, masking.Document{Masking: rules}, masking.Options{}).Plan(nil, "m")
	if p == nil {
		t.Fatal("nothing is masked")
	}
	return p
}

// redacts is the rule that most tests are about.
func redacts(change func(r *masking.Rule)) masking.Rule {
	r := masking.Rule{Name: "pii", Models: []string{"*"}, Entities: entities("EMAIL", "CARD", "SSN")}
	if change != nil {
		change(&r)
	}
	return r
}

func entities(names ...string) (list []masking.Entity) {
	for _, name := range names {
		list = append(list, masking.Entity{Name: name})
	}
	return list
}

// action is one that is written as a word.
func action(word string) masking.Action { return masking.Action{Word: word} }

// message encodes m into buffers of n bytes from the poisoning pool.
func message(t testing.TB, m proto.Message, n int) *wire.Message {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return wire.New(pooled(b, n))
}

func pooled(b []byte, n int) (bufs mem.BufferSlice) {
	for len(b) > 0 {
		k := min(n, len(b))
		buf := pool.Get(k)
		copy(*buf, b)
		bufs = append(bufs, mem.NewBuffer(buf, pool))
		b = b[k:]
	}
	return bufs
}

// layout is how a tensor's data is written.
type layout bool

const (
	raw   layout = false
	typed layout = true
)

// output adds a BYTES output of elements to an answer.
func output(r *pb.ModelInferResponse, how layout, name string, elements ...string) *pb.ModelInferResponse {
	out := &pb.ModelInferResponse_InferOutputTensor{Name: name, Datatype: "BYTES", Shape: []int64{1, int64(len(elements))}}
	r.Outputs = append(r.Outputs, out)
	if how == typed {
		out.Contents = &pb.InferTensorContents{}
		for _, e := range elements {
			out.Contents.BytesContents = append(out.Contents.BytesContents, []byte(e))
		}
		return r
	}
	r.RawOutputContents = append(r.RawOutputContents, bytesTensor(elements...))
	return r
}

// bytesTensor is the raw data of a BYTES tensor.
func bytesTensor(elements ...string) []byte {
	b := []byte{}
	for _, e := range elements {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e)))
		b = append(b, e...)
	}
	return b
}

// elementsOf reads the n-th output back, as a client would.
func elementsOf(t testing.TB, r *pb.ModelInferResponse, n int) (list []string) {
	t.Helper()
	if n < len(r.GetRawOutputContents()) {
		for b := r.GetRawOutputContents()[n]; len(b) > 0; {
			if len(b) < 4 || uint64(len(b)-4) < uint64(binary.LittleEndian.Uint32(b)) {
				t.Fatalf("a length prefix is wrong: %x", b)
			}
			size := binary.LittleEndian.Uint32(b)
			list = append(list, string(b[4:4+size]))
			b = b[4+size:]
		}
		return list
	}
	for _, b := range r.GetOutputs()[n].GetContents().GetBytesContents() {
		list = append(list, string(b))
	}
	return list
}

// unary masks an answer; it returns nil where the message itself comes back.
func unary(t testing.TB, p *masking.Plan, r *pb.ModelInferResponse, c *masking.Counts) (*pb.ModelInferResponse, *access.Error) {
	t.Helper()
	m := message(t, r, 16<<10)
	defer m.Free()
	out, refused := p.Unary(t.Context(), m, c)
	if refused != nil || out == m {
		return nil, refused
	}
	defer out.Free()
	got := new(pb.ModelInferResponse)
	if err := out.Unmarshal(got); err != nil {
		t.Fatal(err)
	}
	return got, nil
}
