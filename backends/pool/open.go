package pool

import (
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

const (
	// maxOpen is how many requests of one stream are told apart, and maxOpenID the
	// longest id of one, in bytes: callers choose both.
	maxOpen   = 1024
	maxOpenID = 256

	// finalKey marks a request's last answer, and reasonKey says why Sluice itself
	// has failed one.
	finalKey  = "triton_final_response"
	reasonKey = "sluice_reason"
)

// open are the ids of a stream's requests that have not had their last answer, as
// far as answers say. They are what a replica that dies has left unanswered.
type open struct {
	ids     []string
	unknown bool // there were more than can be told apart
}

// add notes a request.
func (o *open) add(m any) {
	message, ok := m.(*wire.Message)
	if !ok {
		o.unknown = true
		return
	}
	view, err := message.InferRequest()
	if err != nil || len(o.ids) == maxOpen || view.ID().Len() > maxOpenID {
		o.unknown = true
		return
	}
	o.ids = append(o.ids, view.ID().String())
}

// answered takes off a request whose last answer has come: one that says so, or an
// error from before execution, which says nothing.
func (o *open) answered(m any) {
	message, ok := m.(*wire.Message)
	if !ok || len(o.ids) == 0 {
		return
	}
	view, err := message.StreamResponse()
	if err != nil {
		return
	}
	resp := view.Response()
	final, marked := resp.Parameters().Get(finalKey)
	last, _ := final.Bool()
	if !last && (marked || view.ErrorMessage().Len() == 0) {
		return
	}
	id := resp.ID()
	if i := slices.IndexFunc(o.ids, id.Is); i >= 0 {
		o.ids = slices.Delete(o.ids, i, i+1)
	}
}

// lose answers one request that nobody will answer any more, in the shape of
// Triton's own errors, and tells whether there was one.
func (o *open) lose(m any) (bool, error) {
	message, ok := m.(*wire.Message)
	if !ok || len(o.ids) == 0 {
		return false, nil
	}
	id := o.ids[0]
	o.ids = o.ids[1:]
	answer, err := wire.FromProto(&inference.ModelStreamInferResponse{
		ErrorMessage: backends.Away(nil).Message,
		InferResponse: &inference.ModelInferResponse{Id: id, Parameters: map[string]*inference.InferParameter{
			reasonKey: {ParameterChoice: &inference.InferParameter_StringParam{StringParam: access.ReasonBackendAway}},
		}},
	})
	if err != nil {
		return false, err
	}
	if err := message.Take(answer); err != nil {
		answer.Free()
		return false, err
	}
	return true, nil
}
