package dialect_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc/mem"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/rest/dialect"
	"github.com/sluice-gateway/sluice/wire"
)

// repeated is a body that repeats a piece, made as it is read.
func repeated(head, piece string, n int, foot string) io.Reader {
	parts := []io.Reader{strings.NewReader(head)}
	block := strings.Repeat(piece, 1000)
	for range n / 1000 {
		parts = append(parts, strings.NewReader(block))
	}
	return io.MultiReader(append(parts, strings.NewReader(foot))...)
}

// TestAJSONRequestCostsWhatItsMessageDoes: 100 MB of JSON become 20 MB of tensor,
// and no more than that is charged or in memory.
func TestAJSONRequestCostsWhatItsMessageDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 100 MB")
	}
	const n = 5_000_000
	const piece = "0.1234567890123456,\n" // 20 bytes
	head := fmt.Sprintf(`{"inputs":[{"name":"I","shape":[%d],"datatype":"FP32","data":[`, n+1)
	budget := wire.NewBudget(wire.BudgetConfig{})
	account := budget.Account("p")
	defer account.Close()
	var m wire.Message
	in, err := wire.NewIntake(&m, account, mem.NopBufferPool{}, wire.MaxMessage)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	if err := (&dialect.Infer{Model: "m", JSON: -1}).Receive(repeated(head, piece, n, "1]}]}"), in); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	const tensor = 4 * (n + 1)
	if charged := budget.InFlight(); charged < tensor || charged > tensor+2<<20 {
		t.Errorf("%d bytes are charged for a tensor of %d", charged, tensor)
	}
	if made := after.TotalAlloc - before.TotalAlloc; made > 2*tensor {
		t.Errorf("%d bytes were allocated for a tensor of %d", made, tensor)
	}
	m.Free()
}

// TestWhatABodyMakesIsCharged: bodies that are small on the wire and large in
// memory end where their sender's budget does, whatever they repeat.
func TestWhatABodyMakesIsCharged(t *testing.T) {
	const n = 400_000
	for name, body := range map[string]io.Reader{
		"numbers":                 repeated(`{"inputs":[{"name":"I","shape":[400000],"datatype":"FP64","data":[`, "0,", n, "0]}]}"),
		"texts":                   repeated(`{"inputs":[{"name":"I","shape":[400000],"datatype":"BYTES","data":[`, `"",`, n, `""]}]}`),
		"data before its type":    repeated(`{"inputs":[{"data":[`, "1234567,", n, `0],"name":"I","shape":[1],"datatype":"FP64"}]}`),
		"a name":                  repeated(`{"inputs":[{"name":"`, "0123456789", n, `","shape":[1],"datatype":"FP64"}]}`),
		"a key":                   repeated(`{"`, "0123456789", n, `":1}`),
		"an id":                   repeated(`{"id":"`, "0123456789", n, `"}`),
		"a datatype":              repeated(`{"inputs":[{"datatype":"`, "0123456789", n, `"}]}`),
		"a parameter":             repeated(`{"parameters":{"a":"`, "0123456789", n, `"}}`),
		"inputs":                  repeated(`{"inputs":[`, `{"name":"","shape":[],"datatype":"INT8","data":[0]},`, n, `{}]}`),
		"inputs in shared memory": repeated(`{"inputs":[`, `{"name":"","shape":[],"datatype":"","parameters":{"shared_memory_region":""}},`, n, `{}]}`),
		"binary inputs":           repeated(`{"inputs":[`, `{"name":"","shape":[],"datatype":"","parameters":{"binary_data_size":0}},`, n, `{}]}`),
	} {
		t.Run(name, func(t *testing.T) {
			checkBuffers(t)
			budget := wire.NewBudget(wire.BudgetConfig{All: 1 << 20, PerPrincipal: 1 << 20})
			account := budget.Account("p")
			defer account.Close()
			var m wire.Message
			in, err := wire.NewIntake(&m, account, pool, wire.MaxMessage)
			if err != nil {
				t.Fatal(err)
			}
			err = (&dialect.Infer{Model: "m", JSON: 1 << 40}).Receive(body, in)
			if e, ok := access.AsError(err); !ok || e.Kind != access.Exhausted {
				t.Errorf("got %v, want the budget's refusal", err)
			}
			m.Free()
			if left := budget.InFlight(); left != 0 {
				t.Errorf("%d bytes are still charged", left)
			}
		})
	}
}

// TestWhatIsSkippedCostsNothing: members that nobody looks at are passed over.
func TestWhatIsSkippedCostsNothing(t *testing.T) {
	checkBuffers(t)
	budget := wire.NewBudget(wire.BudgetConfig{All: 1 << 20, PerPrincipal: 1 << 20})
	account := budget.Account("p")
	defer account.Close()
	var m wire.Message
	in, err := wire.NewIntake(&m, account, pool, wire.MaxMessage)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	body := repeated(`{"x":[`, `{"a":["b",null,1.5]},`, 400_000, `0],`+inputs(twoFloats)[1:])
	if err := (&dialect.Infer{Model: "m", JSON: -1}).Receive(body, in); err != nil {
		t.Fatal(err)
	}
}
