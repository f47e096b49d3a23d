package wire

import "iter"

// InferResponse is the view of a ModelInferResponse, alone or within a
// [StreamResponse]. It and what it returns are valid until the message is freed.
type InferResponse struct{ n node }

// InferResponse scans m as a ModelInferResponse. The error for a message that
// proto.Unmarshal would refuse is a [*SyntaxError].
func (m *Message) InferResponse() (InferResponse, error) {
	if _, err := m.scan(&responseTable); err != nil {
		return InferResponse{}, err
	}
	return InferResponse{m.root()}, nil
}

// ModelName is the name of the model that answered.
func (r InferResponse) ModelName() Span { return r.n.text(fieldModelName) }

// ModelVersion is the version that answered.
func (r InferResponse) ModelVersion() Span { return r.n.text(fieldModelVersion) }

// ID is the request's id.
func (r InferResponse) ID() Span { return r.n.text(fieldID) }

// Parameters are the response's parameters: "triton_final_response" is one.
func (r InferResponse) Parameters() Parameters { return Parameters{r.n, fieldParameters} }

// Outputs yields the outputs in order.
func (r InferResponse) Outputs() iter.Seq[Tensor] { return r.n.tensors(fieldOutputs) }

// Raw yields the raw_output_contents in order.
func (r InferResponse) Raw() iter.Seq[Span] { return r.n.blobs(fieldRawOutputs) }

// StreamResponse is the view of a ModelStreamInferResponse.
type StreamResponse struct {
	m *Message
	v *view
}

// StreamResponse scans m as a ModelStreamInferResponse. The error for a
// message that proto.Unmarshal would refuse is a [*SyntaxError].
func (m *Message) StreamResponse() (StreamResponse, error) {
	v, err := m.scan(&streamTable)
	if err != nil {
		return StreamResponse{}, err
	}
	return StreamResponse{m, v}, nil
}

// ErrorMessage is the error's text; empty where the message is an answer.
func (r StreamResponse) ErrorMessage() Span {
	if r.v.count[fieldErrorMessage] == 0 {
		return Span{}
	}
	return Span{r.m, r.v.last[fieldErrorMessage]}
}

// HasResponse tells whether infer_response is set.
func (r StreamResponse) HasResponse() bool { return r.v.count[fieldInferResponse] > 0 }

// Response is infer_response, all repeats merged; empty where it is not set.
func (r StreamResponse) Response() InferResponse {
	if r.v.count[fieldInferResponse] == 1 {
		return InferResponse{node{m: r.m, at: r.v.last[fieldInferResponse]}}
	}
	return InferResponse{r.m.root().sub(fieldInferResponse)}
}

// Ambiguous tells whether the message could be read in two ways, as
// [InferRequest.Ambiguous] does.
func (r StreamResponse) Ambiguous() bool { return r.v.ambiguous }

// Canonical is [InferRequest.Canonical] for a stream's answer.
func (r StreamResponse) Canonical() (*Message, error) { return canonical(r.m, &streamTable) }

// Foreign tells whether there are fields in the message that the contract does
// not have, at any depth: what they mean to a client is not known.
func (r StreamResponse) Foreign() bool { return r.v.foreign }

// Known is [StreamResponse.Canonical] without the fields that make it Foreign.
func (r StreamResponse) Known() (*Message, error) { return known(r.m, &streamTable) }

// Ambiguous tells whether the scanned message could be read in two ways.
func (r InferResponse) Ambiguous() bool { return r.n.m.view.ambiguous }

// Canonical is [InferRequest.Canonical] for a unary answer. On the response
// within a [StreamResponse], ask that for it.
func (r InferResponse) Canonical() (*Message, error) { return canonical(r.n.m, r.n.m.view.table) }

// Foreign is [StreamResponse.Foreign] of the scanned message.
func (r InferResponse) Foreign() bool { return r.n.m.view.foreign }

// Known is [StreamResponse.Known] for a unary answer.
func (r InferResponse) Known() (*Message, error) { return known(r.n.m, r.n.m.view.table) }
