package masking

import (
	"cmp"
	crand "crypto/rand"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// numbers does what rules about whole tensors say to an output of numbers: each
// in turn, in the order of the rules.
func (a *answer) numbers(p *part, typ wire.Datatype) *access.Error {
	t := p.t
	rules := slices.DeleteFunc(slices.Clone(t.whole), func(r *rule) bool { return !r.takes(typ) })
	for _, r := range rules {
		if !r.action.takes(typ) {
			return a.plan.refused([]*rule{r}, "output %s is of datatype %s, which %s does not work on", access.Quote(t.name), access.Quote(p.out.Datatype().String()), r.action.kind)
		}
	}
	if len(rules) == 0 {
		return nil
	}
	row := rowOf(p.out.AppendShape(nil))
	if p.raw.Len() > 0 {
		if p.raw.Len()%typ.Size() != 0 {
			return a.plan.refused(rules, "output %s can't be masked: its data ends within an element", access.Quote(t.name))
		}
		raw := slices.Clone(p.raw.Bytes())
		if !change(rules, typ, raw, row) {
			return a.plan.refused(rules, "output %s can't be masked: its shape does not fit its data", access.Quote(t.name))
		}
		start, end := p.raw.Range()
		a.cut(wire.Range{Start: start, End: end}, raw)
	}
	return a.typedNumbers(p, typ, rules, row)
}

// typedNumbers changes the typed contents of an output. What else its contents
// hold, in lists of other datatypes, nobody should read: it goes.
func (a *answer) typedNumbers(p *part, typ wire.Datatype, rules []*rule, row int) *access.Error {
	contents := p.out.Contents()
	at := contents.Range()
	if at == (wire.Range{}) || at.Start == at.End {
		return nil
	}
	var raw []byte
	for v := range contents.Numbers(typ.String()) {
		n := len(raw)
		raw = append(raw, make([]byte, typ.Size())...)
		typ.PutBits(raw[n:], v)
	}
	if !change(rules, typ, raw, row) {
		return a.plan.refused(rules, "output %s can't be masked: its shape does not fit its data", access.Quote(p.t.name))
	}
	a.cut(at, wire.AppendContents(nil, typ, raw))
	return nil
}

// rowOf is how many elements the last dimension has; 1 for a scalar.
func rowOf(shape []int64) int {
	if len(shape) == 0 {
		return 1
	}
	if last := shape[len(shape)-1]; last > 0 && last <= math.MaxInt32 {
		return int(last)
	}
	return 0
}

// change does what rules say to raw data of a datatype; false where its shape
// does not allow it.
func change(rules []*rule, typ wire.Datatype, raw []byte, row int) bool {
	for _, r := range rules {
		switch act := &r.action; act.kind {
		case actionZero:
			clear(raw)
		case actionTopK:
			if len(raw) > 0 && (row == 0 || len(raw)%(row*typ.Size()) != 0) {
				return false
			}
			for size, rest := row*typ.Size(), raw; len(rest) > 0; rest = rest[size:] {
				topK(act.n, typ, rest[:size])
			}
		default:
			each(act, typ, raw)
		}
	}
	return true
}

// each changes number by number.
func each(act *action, typ wire.Datatype, raw []byte) {
	var noise *rand.Rand
	if act.kind == actionNoise {
		noise = newNoise()
	}
	scale := math.Pow10(act.n)
	for size := typ.Size(); len(raw) >= size; raw = raw[size:] {
		v := number(typ, raw)
		switch act.kind {
		case actionRound:
			if scaled := v * scale; !math.IsInf(scaled, 0) {
				v = math.RoundToEven(scaled) / scale
			}
		case actionClip:
			if act.low <= v && v <= act.high {
				continue // as it was, to the last bit
			}
			v = min(max(v, act.low), act.high) // NaN stays
		case actionNoise:
			v += noise.NormFloat64() * act.high
		}
		put(typ, raw, v)
	}
}

// newNoise is a generator that nobody can repeat.
func newNoise() *rand.Rand {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails: crypto/rand
	return rand.New(rand.NewChaCha8(seed))
}

// number is an element as a float64.
func number(typ wire.Datatype, raw []byte) float64 {
	switch {
	case typ.IsFloat():
		return typ.Float(raw)
	case typ == wire.Uint64:
		return float64(uint64(typ.Integer(raw)))
	}
	return float64(typ.Integer(raw))
}

// put writes v in the place of an element: the nearest integer that the datatype
// has, where it is one of integers.
func put(typ wire.Datatype, raw []byte, v float64) {
	if typ.IsFloat() {
		typ.PutFloat(raw, v)
		return
	}
	bits := 8 * typ.Size()
	v = math.Round(v)
	if typ >= wire.Uint8 {
		switch {
		case v < 0:
			v = 0
		case v >= math.Ldexp(1, bits):
			typ.PutInteger(raw, -1)
			return
		}
		typ.PutInteger(raw, int64(uint64(v)))
		return
	}
	if most := math.Ldexp(1, bits-1); v >= most {
		typ.PutInteger(raw, int64(uint64(1)<<(bits-1)-1))
	} else {
		typ.PutInteger(raw, int64(max(v, -most)))
	}
}

// topK keeps the k greatest elements of a row and makes the others zero. Of equal
// ones the first stay; NaN is least.
func topK(k int, typ wire.Datatype, row []byte) {
	size := typ.Size()
	n := len(row) / size
	if k >= n {
		return
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return compare(typ, row[j*size:], row[i*size:]) })
	for _, i := range order[k:] {
		clear(row[i*size : (i+1)*size])
	}
}

// compare orders two elements.
func compare(typ wire.Datatype, a, b []byte) int {
	switch {
	case typ.IsFloat():
		return cmp.Compare(typ.Float(a), typ.Float(b))
	case typ == wire.Uint64:
		return cmp.Compare(uint64(typ.Integer(a)), uint64(typ.Integer(b)))
	}
	return cmp.Compare(typ.Integer(a), typ.Integer(b))
}
