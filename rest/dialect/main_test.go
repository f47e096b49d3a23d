package dialect_test

import (
	"bytes"
	"flag"
	"io"
	"os"
	"testing"

	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/dialect"
	"github.com/sluice-gateway/sluice/wire"
	"github.com/sluice-gateway/sluice/wire/wiretest"
)

// pool is gRPC's default pool in all tests but benchmarks and fuzzing, where
// its bookkeeping would be what is measured.
var pool = wiretest.NewPool()

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == "" {
		experimental.SetDefaultBufferPool(pool)
	}
	os.Exit(m.Run())
}

// checkBuffers fails a test that leaves a buffer behind or frees one twice.
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

// receiver is what reads a body into a message.
type receiver interface {
	Receive(io.Reader, *wire.Intake) error
}

// receive has r read body into a message, on an account that has all bytes back
// when the message is freed.
func receive(t testing.TB, r receiver, body io.Reader) (*wire.Message, error) {
	t.Helper()
	budget := wire.NewBudget(wire.BudgetConfig{})
	account := budget.Account("p")
	m := new(wire.Message)
	in, err := wire.NewIntake(m, account, mem.DefaultBufferPool(), wire.MaxMessage)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Receive(body, in); err != nil {
		m.Reset()
		account.Close()
		if n := budget.InFlight(); n != 0 {
			t.Errorf("%d bytes are charged after an error", n)
		}
		return nil, err
	}
	return m, nil
}

// decode is receive, and decodes the message.
func decode(t testing.TB, r receiver, body string) (*pb.ModelInferRequest, error) {
	t.Helper()
	m, err := receive(t, r, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	defer m.Free()
	got := new(pb.ModelInferRequest)
	if err := m.Unmarshal(got); err != nil {
		t.Fatalf("what was made does not parse: %v", err)
	}
	return got, nil
}

// encode makes an answer's JSON, and its binary tensors.
func encode(t testing.TB, resp *pb.ModelInferResponse, w *dialect.Wanted) (json, binary string, err error) {
	t.Helper()
	m, err := wire.FromProto(resp)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	a, err := dialect.NewAnswer(m, w)
	if err != nil {
		return "", "", err
	}
	var all, rest bytes.Buffer
	p := dialect.NewPage(make([]byte, dialect.PageSize), func(b []byte) error { all.Write(b); return nil })
	if err := a.JSON(p); err != nil {
		t.Fatal(err)
	}
	all.Write(p.Rest())
	if err := a.WriteBinary(&rest); err != nil {
		t.Fatal(err)
	}
	return all.String(), rest.String(), nil
}

// rawReceiver reads a body that is data alone.
type rawReceiver struct {
	*dialect.Infer
	config *pb.ModelConfig
}

func (r rawReceiver) Receive(body io.Reader, in *wire.Intake) error {
	return r.ReceiveRaw(body, r.config, in)
}
