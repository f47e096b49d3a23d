package record

import (
	"slices"
	"sync"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/wire"
)

// maxSignatures bounds the models whose tensors are remembered.
const maxSignatures = 1024

// signatures remember which tensors the last request and answer of each model had:
// nearly always the next ones have the same, and telling so needs no memory of
// their own.
type signatures struct {
	mu    sync.RWMutex
	known map[string]*signature // by model
}

// signature is immutable, and so are its lists.
type signature struct{ inputs, outputs []audit.Tensor }

func (s *signatures) of(model string) *signature {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if known := s.known[model]; known != nil {
		return known
	}
	return new(signature)
}

func (s *signatures) set(model string, sig signature) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = make(map[string]*signature)
	}
	if len(s.known) >= maxSignatures && s.known[model] == nil {
		clear(s.known) // callers choose names: nothing is lost but a little time
	}
	s.known[model] = &sig
}

// request writes what there is to see of an inference request.
func (s *signatures) request(record *audit.Record, m *wire.Message) {
	view, err := m.InferRequest()
	if err != nil {
		return
	}
	record.Request = clean(short(view.ID()))
	model := short(view.ModelName())
	was := s.of(model)
	tensors, same, cut := tensorsOf(view.Inputs(), was.inputs)
	if record.Inputs = tensors; cut {
		record.Cut = true
	}
	if !same {
		s.set(model, signature{tensors, was.outputs})
	}
}

// answer writes what there is to see of an inference answer.
func (s *signatures) answer(record *audit.Record, m *wire.Message) {
	view, err := m.InferResponse()
	if err != nil {
		return
	}
	s.outputs(record, view)
}

func (s *signatures) outputs(record *audit.Record, view wire.InferResponse) {
	if v := view.ModelVersion(); v.Len() > 0 && !v.Is(record.Version) {
		record.Version = clean(short(v))
	}
	model := short(view.ModelName())
	was := s.of(model)
	tensors, same, cut := tensorsOf(view.Outputs(), was.outputs)
	if len(tensors) == 0 {
		return // the last answer of a decoupled model may have none
	}
	if record.Outputs = tensors; cut {
		record.Cut = true
	}
	count(record, view)
	if !same {
		s.set(model, signature{was.inputs, tensors})
	}
}

// short is the beginning of a text that may be of any length.
func short(s wire.Span) string {
	if s.Len() > audit.MaxText {
		s = s.Sub(0, audit.MaxText)
	}
	return s.String()
}

// tensorsOf tells of tensors; where they are those of before, it gives those.
func tensorsOf(all func(func(wire.Tensor) bool), before []audit.Tensor) (tensors []audit.Tensor, same, cut bool) {
	n := 0
	same = true
	for t := range all {
		if same = same && n < len(before) && isTensor(t, &before[n]); !same {
			break
		}
		n++
	}
	if same && n == len(before) {
		return before, true, false
	}
	for t := range all {
		if len(tensors) == audit.MaxTensors {
			return tensors, false, true
		}
		shape, more := t.AppendShapeUpTo(nil, audit.MaxShape)
		cut = cut || more
		tensors = append(tensors, audit.Tensor{Name: clean(short(t.Name())), Datatype: clean(short(t.Datatype())), Shape: shape})
	}
	return tensors, false, cut
}

func isTensor(t wire.Tensor, is *audit.Tensor) bool {
	var room [audit.MaxShape]int64
	if !t.Name().Is(is.Name) || !t.Datatype().Is(is.Datatype) {
		return false
	}
	shape, more := t.AppendShapeUpTo(room[:0], audit.MaxShape)
	return !more && slices.Equal(shape, is.Shape)
}
