package payload_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/payload"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf keeps payloads and keys in memory.
type shelf struct {
	mu       sync.Mutex
	keys     map[string]audit.Key
	payloads map[string]audit.Payload
	err      error // of all calls, if set
}

var _ audit.Payloads = (*shelf)(nil)

func newShelf() *shelf {
	return &shelf{keys: map[string]audit.Key{}, payloads: map[string]audit.Payload{}}
}

func (s *shelf) Payload(_ context.Context, id string) (audit.Payload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, found := s.payloads[id]
	if !found {
		return p, audit.ErrNotFound
	}
	return p, s.err
}

func (s *shelf) DropPayloads(_ context.Context, key string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.payloads)
	maps.DeleteFunc(s.payloads, func(_ string, p audit.Payload) bool { return p.Key == key })
	return n - len(s.payloads), s.err
}

func (s *shelf) PutKey(_ context.Context, k audit.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, found := s.keys[k.ID]; found && !bytes.Equal(old.Sealed, k.Sealed) {
		return errors.New("another key of the same id")
	}
	if s.err == nil {
		s.keys[k.ID] = k
	}
	return s.err
}

func (s *shelf) Keys(context.Context) ([]audit.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.keys)), s.err
}

func (s *shelf) DeleteKey(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, id)
	return s.err
}

// put keeps what a record's entry would hold.
func (s *shelf) put(p *audit.Payload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.payloads[p.ID] = *p
}

// wrap is a sealer with a key of its own.
type wrap struct{ cipher.AEAD }

func newWrap(t testing.TB, key byte) wrap {
	t.Helper()
	block, err := aes.NewCipher(bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return wrap{aead}
}

func (w wrap) Seal(aad, plain []byte) ([]byte, error) { return w.AEAD.Seal(nil, nil, plain, aad), nil }

func (w wrap) Open(aad, sealed []byte) ([]byte, error) {
	return w.AEAD.Open(nil, nil, sealed, aad)
}

const (
	email = "jane.doe@example.com"
	card  = "4111 1111 1111 1111"
	ssn   = "536-90-4399"
)

// noSeeds fails where a seeded value is in b.
func noSeeds(t testing.TB, what string, b []byte) {
	t.Helper()
	for _, seed := range []string{email, card, ssn, "jane.doe", "4111 1111", "536-90"} {
		if bytes.Contains(b, []byte(seed)) {
			t.Errorf("%s holds %q", what, seed)
		}
	}
}

// policy is masking's, with everybody excepted.
func policy(t testing.TB) *masking.Policy {
	t.Helper()
	p, problems := masking.Compile([]masking.File{{Document: masking.Document{Masking: []masking.Rule{{
		Name: "pii", Models: []string{"*"}, Entities: []masking.Entity{{Name: "EMAIL"}, {Name: "CARD"}, {Name: "SSN"}}, Except: []string{"all"},
	}}}}}, masking.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// rules keep everything of calls for inference.
func rules(change func(r *payload.Rule)) payload.Rules {
	r := payload.Rule{Models: []string{"*"}, Payloads: payload.What{Share: 1}}
	r.SetDefaults()
	if change != nil {
		change(&r)
	}
	return payload.Rules{r}
}

// keeper starts one that is closed at the test's end.
func keeper(t testing.TB, change func(o *payload.Options)) (*payload.Keeper, *shelf) {
	t.Helper()
	s, p := newShelf(), policy(t)
	o := payload.Options{
		Rules: rules(nil), Words: true, Replica: "a", Sealer: newWrap(t, 1), Store: s,
		Masker: func(model string) payload.Masker { return p.Record(model) },
	}
	if change != nil {
		change(&o)
	}
	k, err := payload.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.Close(context.Background())
		if n := k.Stats().Bytes; n != 0 {
			t.Errorf("%d bytes are still held", n)
		}
	})
	return k, s
}

func reader(t testing.TB, s *shelf, by payload.Sealer, m *payload.Marker) *payload.Reader {
	t.Helper()
	r, err := payload.NewReader(s, by, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// await closes a capture and waits for what becomes of it.
func await(c *payload.Capture, ended bool) payload.Sealed {
	done := make(chan payload.Sealed, 1)
	c.Close(ended, func(s payload.Sealed) { done <- s })
	return <-done
}

func request(t testing.TB, text string) *wire.Message {
	t.Helper()
	return message(t, &pb.ModelInferRequest{
		ModelName: "m", Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}}},
		RawInputContents: [][]byte{elements(text)},
	})
}

func response(text string) *pb.ModelInferResponse {
	return &pb.ModelInferResponse{
		ModelName: "m", Outputs: []*pb.ModelInferResponse_InferOutputTensor{{Name: "text_output", Datatype: "BYTES", Shape: []int64{1}}},
		RawOutputContents: [][]byte{elements(text)},
	}
}

func chunk(t testing.TB, text string) *wire.Message {
	t.Helper()
	return message(t, &pb.ModelStreamInferResponse{InferResponse: response(text)})
}

func message(t testing.TB, m proto.Message) *wire.Message {
	t.Helper()
	out, err := wire.FromProto(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func elements(texts ...string) (b []byte) {
	for _, text := range texts {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	return b
}

// outputOf is the first output's text in a frame.
func outputOf(t testing.TB, f payload.Frame) string {
	t.Helper()
	m := &pb.ModelStreamInferResponse{}
	if err := proto.Unmarshal(f.Message, m); err != nil {
		t.Fatal(err)
	}
	return string(m.InferResponse.RawOutputContents[0][4:])
}

var opened = time.Date(2026, 11, 22, 23, 59, 58, 0, time.UTC)

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var infer = access.Infer
