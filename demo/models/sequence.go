package models

import (
	"context"
	"maps"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// Bounds of the sequences that are remembered.
const (
	sequenceIdle = 5 * time.Second
	maxSequences = 4096
)

// simpleSequence is Triton's example of that name: a number comes back as it
// is, the first of a sequence greater by one. now is the clock that sequences
// grow idle by.
func simpleSequence(now func() time.Time) *model {
	const t = inference.DataType_TYPE_INT32
	config := newConfig("simple_sequence", 8,
		[]*inference.ModelInput{input("INPUT", t, 1)}, []*inference.ModelOutput{output("OUTPUT", t, 1)})
	config.SchedulingChoice = &inference.ModelConfig_SequenceBatching{SequenceBatching: &inference.ModelSequenceBatching{
		MaxSequenceIdleMicroseconds: uint64(sequenceIdle.Microseconds()),
		ControlInput: []*inference.ModelSequenceBatching_ControlInput{
			control("START", inference.ModelSequenceBatching_Control_CONTROL_SEQUENCE_START),
			control("READY", inference.ModelSequenceBatching_Control_CONTROL_SEQUENCE_READY),
		},
	}}
	open := &sequences{now: now, seen: map[string]time.Time{}}
	return &model{
		config: config,
		admit:  open.admit,
		run: func(_ context.Context, c *call, send sendFunc) error {
			in := c.inputs["INPUT"]
			var data []byte
			for _, v := range int32s(in.data) {
				if c.sequence.start {
					v++
				}
				data = appendInt32(data, v)
			}
			return send([]tensor{{name: "OUTPUT", datatype: "INT32", shape: in.shape, data: data}}, true)
		},
	}
}

// control is an input that the sequence batcher fills in, 0 or 1.
func control(name string, kind inference.ModelSequenceBatching_Control_Kind) *inference.ModelSequenceBatching_ControlInput {
	return &inference.ModelSequenceBatching_ControlInput{
		Name:    name,
		Control: []*inference.ModelSequenceBatching_Control{{Kind: kind, Int32FalseTrue: []int32{0, 1}}},
	}
}

// sequences knows which sequences have begun and not ended.
type sequences struct {
	now  func() time.Time
	mu   sync.Mutex
	seen map[string]time.Time // by id: when it was last heard of
}

// admit refuses a request that belongs to no sequence, or to one that has not
// begun.
func (s *sequences) admit(c *call) error {
	if c.batch > 1 {
		return invalid("inference request to model '%s' must specify batch-size 1 due to requirements of sequence batcher", c.model())
	}
	id := c.sequence.id
	if id == "" {
		return invalid("inference request to model '%s' must specify a non-zero or non-empty correlation ID", c.model())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	heard, open := s.seen[id]
	if !c.sequence.start && (!open || now.Sub(heard) > sequenceIdle) {
		return invalid("inference request for sequence %s to model '%s' must specify the START flag on the first request of the sequence", id, c.model())
	}
	if !open && len(s.seen) >= maxSequences {
		maps.DeleteFunc(s.seen, func(_ string, heard time.Time) bool { return now.Sub(heard) > sequenceIdle })
		if len(s.seen) >= maxSequences {
			return status.Error(codes.Unavailable, "Exceeds maximum queue size")
		}
	}
	if s.seen[id] = now; c.sequence.end {
		delete(s.seen, id)
	}
	return nil
}
