package wire

import "iter"

// InferRequest is the view of a ModelInferRequest: what protobuf would read
// out of it. It and what it returns are valid until the message is freed.
type InferRequest struct {
	m *Message
	v *view
}

// InferRequest scans m as a ModelInferRequest. A message that proto.Unmarshal
// would refuse is a Malformed access.Error that names the field.
func (m *Message) InferRequest() (InferRequest, error) {
	v, err := m.scan(&requestTable)
	if err != nil {
		return InferRequest{}, malformed(err, err)
	}
	return InferRequest{m, v}, nil
}

// ModelName is the name of the model that is asked for.
func (r InferRequest) ModelName() Span { return r.text(fieldModelName) }

// ModelVersion is the version asked for; empty means the latest.
func (r InferRequest) ModelVersion() Span { return r.text(fieldModelVersion) }

// ID is the caller's name for the request.
func (r InferRequest) ID() Span { return r.text(fieldID) }

// Parameters are the request's own parameters: "sequence_id" is one.
func (r InferRequest) Parameters() Parameters { return Parameters{r.root(), fieldParameters} }

// HasParameters tells whether the request has any parameters of its own, without
// reading them.
func (r InferRequest) HasParameters() bool { return r.v.count[fieldParameters] > 0 }

// NumInputs is how many inputs there are.
func (r InferRequest) NumInputs() int { return int(r.v.count[fieldInputs]) }

// Inputs yields the inputs in order.
func (r InferRequest) Inputs() iter.Seq[Tensor] { return r.root().tensors(fieldInputs) }

// NumOutputs is how many outputs are asked for; none means all.
func (r InferRequest) NumOutputs() int { return int(r.v.count[fieldRequested]) }

// Outputs yields the outputs that are asked for, in order.
func (r InferRequest) Outputs() iter.Seq[Output] {
	return func(yield func(Output) bool) {
		n := r.root()
		n.each(fieldRequested, func(s span) bool { return yield(Output{node{m: n.m, at: s}}) })
	}
}

// NumRaw is how many raw_input_contents there are: the n-th belongs to the
// n-th input that is not in shared memory.
func (r InferRequest) NumRaw() int { return int(r.v.count[fieldRawInputs]) }

// Raw yields the raw_input_contents in order.
func (r InferRequest) Raw() iter.Seq[Span] { return r.root().blobs(fieldRawInputs) }

// Ambiguous tells whether the message could be read in two ways: somewhere in
// it a singular field, a member of a oneof or the key of a map is repeated, or
// a map entry holds more than its key and value. Such a message must not go on
// as it is; see [InferRequest.Canonical].
func (r InferRequest) Ambiguous() bool { return r.v.ambiguous }

// Foreign tells whether there are fields in the message that the contract does
// not have.
func (r InferRequest) Foreign() bool { return r.v.foreign }

// Canonical returns a message that says what this one says, with nothing in it
// to be read in two ways. It shares the buffers and the charge, and is freed
// by its owner as this one's message is by its. What has to be written anew is
// charged too; the error is the budget's.
func (r InferRequest) Canonical() (*Message, error) { return canonical(r.m, &requestTable) }

func (r InferRequest) root() node { return r.m.root() }

func (r InferRequest) text(num int) Span {
	if r.v.count[num] == 0 {
		return Span{}
	}
	return Span{r.m, r.v.last[num]}
}

// root is the message as a node.
func (m *Message) root() node { return node{m: m, at: span{0, uint32(m.size)}} }
