package wire_test

import (
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// program makes messages out of bytes that a fuzzer or a generator chooses:
// each byte is a decision. Its messages are mostly well-formed and full of
// repeats, which random bytes are not.
type program struct {
	b     []byte
	steps int
}

// next is the next decision, below n; 0 when the program has ended.
func (p *program) next(n int) int {
	if len(p.b) == 0 {
		return 0
	}
	v := int(p.b[0]) % n
	p.b = p.b[1:]
	return v
}

// Levels of messages: which fields of a level hold messages, and of which level.
var levels = []map[protowire.Number]int{
	{4: 3, 5: 1, 6: 2}, // request or response
	{4: 3, 5: 5},       // tensor
	{2: 3},             // requested output
	{2: 4},             // map entry
	{},                 // parameter
	{},                 // contents
	{2: 0},             // stream response
}

var texts = []string{"", "a", "b", "key", "ü", "\xff", "a long text that is longer than its neighbours are"}

var numbers = []uint64{0, 1, 2, 127, 128, 300, 1 << 31, 1 << 62, 1<<64 - 1}

func (p *program) message(level, depth int) (m msg) {
	for range p.next(6) {
		if p.steps++; p.steps > 200 {
			break
		}
		m = p.field(m, level, depth)
	}
	if p.next(60) == 59 && len(m) > 0 {
		m = m[:len(m)-1] // cut
	}
	return m
}

func (p *program) field(m msg, level, depth int) msg {
	num := protowire.Number(p.next(9) + 1)
	if sub, ok := levels[level][num]; ok && depth < 8 && p.next(8) != 7 {
		return m.bytes(num, p.message(sub, depth+1))
	}
	switch p.next(16) {
	default:
		return m.str(num, texts[p.next(len(texts)*4)%len(texts)])
	case 1, 2, 3:
		return m.varint(num, numbers[p.next(len(numbers))])
	case 4:
		return m.fixed32(num, 1)
	case 5:
		return m.fixed64(num, numbers[p.next(len(numbers))])
	case 6:
		return m.group(num, p.message(level, depth+1))
	case 7:
		return m.bytes(num, protowire.AppendVarint(protowire.AppendVarint(nil, numbers[p.next(len(numbers))]), 5))
	case 8: // an overlong tag, and an overlong length
		tag := protowire.EncodeTag(num, protowire.BytesType)
		return m.raw(byte(tag)|0x80, 0x80, 0x00).raw(0x82, 0x00).raw('x', 'y')
	case 9:
		return m.raw(byte(p.next(256)))
	case 10:
		return m.str(num+100, "unknown")
	}
}

func FuzzBuilt(f *testing.F) {
	for seed := range uint64(32) {
		f.Add(randomBytes(seed, 300), randomBytes(seed+1000, 3))
	}
	addInteresting(f, "FuzzBuilt")
	f.Fuzz(func(t *testing.T, b, cuts []byte) {
		checkRequest(t, (&program{b: b}).message(0, 0), cuts)
		checkResponse(t, (&program{b: b}).message(0, 0), cuts)
		checkStream(t, (&program{b: b}).message(6, 0), cuts)
	})
}

// TestBuilt is the fuzz target over messages of its own, for every run of the tests.
func TestBuilt(t *testing.T) {
	n := uint64(4000)
	if testing.Short() {
		n = 400
	}
	for seed := range n {
		b, cuts := randomBytes(seed, 600), randomBytes(seed+1, 1+int(seed%4))
		checkRequest(t, (&program{b: b}).message(0, 0), cuts)
		checkStream(t, (&program{b: b}).message(6, 0), cuts)
	}
}

func randomBytes(seed uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	b := make([]byte, n)
	_, _ = r.Read(b) // never fails
	return b
}
