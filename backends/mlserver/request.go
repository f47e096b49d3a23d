package mlserver

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/connection"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

const (
	// finalKey is Triton's response parameter that marks a request's last answer,
	// and emptyFinalKey the request's that asks for one where it has no data
	// (protocol/kserve-v2.md, section 3).
	finalKey      = "triton_final_response"
	emptyFinalKey = "triton_enable_empty_final_response"
	// reasonKey carries the stable reason of a refusal of Sluice's own.
	reasonKey = "sluice_reason"
)

// noAnswers is in the error that MLServer 1.7.1 makes where a model ends a stream
// without an answer: it looks for metadata on the last one.
const noAnswers = "local variable 'result'"

// request is one request of a stream, from when it is sent until its end.
type request struct {
	stream             *stream
	id, model, version string
	final              bool // the client wants the end told
	answered           bool
}

func asksForFinal(view wire.InferRequest) bool {
	p, _ := view.Parameters().Get(emptyFinalKey)
	asked, _ := p.Bool()
	return asked
}

// carry brings the answers of one request to its stream. failed is why it could
// not be sent.
func (r *request) carry(up grpc.ClientStream, failed error) {
	defer r.stream.end()
	defer func() { <-r.stream.room }()
	for failed == nil {
		m := new(wire.Message)
		if failed = up.RecvMsg(m); failed == nil {
			m, failed = r.wrap(m)
		}
		if failed != nil {
			m.Free()
			break
		}
		r.answered = true
		if !r.stream.put(m) {
			return
		}
	}
	if errors.Is(failed, context.Canceled) || errors.Is(failed, context.DeadlineExceeded) {
		<-r.stream.ctx.Done() // at once, if not already; the stream itself says so
	}
	if r.stream.ctx.Err() != nil {
		return
	}
	if last := r.last(failed); last != nil {
		r.stream.put(last)
	}
}

// wrap makes an answer of the server's, which it takes over, one of a stream.
// Where it fails, what it returns is still to be freed.
func (r *request) wrap(m *wire.Message) (*wire.Message, error) {
	if err := connection.Raw(m); err != nil {
		return m, err
	}
	view, err := m.InferResponse()
	if err != nil {
		return m, backends.NotKServe(err)
	}
	if view.Ambiguous() || view.Parameters().Has(finalKey) || !view.ID().Is(r.id) {
		if m, err = r.rewritten(m); err != nil {
			return m, err
		}
	}
	head := protowire.AppendTag(nil, inferResponseField, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(m.Len()+len(notFinal)))
	wrapped, err := m.Splice([]wire.Edit{{New: head}, {Start: m.Len(), End: m.Len(), New: notFinal}})
	if err != nil {
		return m, err
	}
	m.Free()
	return wrapped, nil
}

// inferResponseField is the field of ModelStreamInferResponse that the answer is in.
const inferResponseField = 2

// notFinal is the entry {finalKey: false} of ModelInferResponse.parameters.
var notFinal = func() []byte {
	const parameters, key, value, boolParam = 4, 1, 2, 1
	entry := protowire.AppendString(protowire.AppendTag(nil, key, protowire.BytesType), finalKey)
	no := protowire.AppendVarint(protowire.AppendTag(nil, boolParam, protowire.VarintType), 0)
	entry = protowire.AppendBytes(protowire.AppendTag(entry, value, protowire.BytesType), no)
	return protowire.AppendBytes(protowire.AppendTag(nil, parameters, protowire.BytesType), entry)
}()

// rewritten puts right what the server has no say in: the request's id, and
// which answer is final. It returns m itself where it fails.
func (r *request) rewritten(m *wire.Message) (*wire.Message, error) {
	var resp inference.ModelInferResponse
	if err := m.Unmarshal(&resp); err != nil {
		return m, backends.NotKServe(err)
	}
	resp.Id = r.id
	delete(resp.Parameters, finalKey)
	made, err := wire.FromProto(&resp)
	if err != nil {
		return m, err
	}
	m.Free()
	return made, nil
}

// last is the message that ends the request, nil if none has to.
func (r *request) last(err error) *wire.Message {
	answer := &inference.ModelStreamInferResponse{InferResponse: &inference.ModelInferResponse{
		Id: r.id, ModelName: r.model, ModelVersion: r.version,
		Parameters: map[string]*inference.InferParameter{
			finalKey: {ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: true}},
		},
	}}
	switch {
	case errors.Is(err, io.EOF), r.endedWithout(err):
		if !r.final {
			return nil
		}
	default:
		answer.ErrorMessage = text(err)
		if e := refusal(err); e != nil {
			answer.InferResponse.Parameters[reasonKey] = &inference.InferParameter{
				ParameterChoice: &inference.InferParameter_StringParam{StringParam: e.Reason},
			}
		}
	}
	m, failed := wire.FromProto(answer)
	if failed != nil { // a name of the caller's that is not UTF-8 was refused before
		return nil
	}
	return m
}

// endedWithout tells the error of a model that gave no answer from other ones.
func (r *request) endedWithout(err error) bool {
	return !r.answered && status.Code(err) == codes.Internal && strings.Contains(status.Convert(err).Message(), noAnswers)
}

// text is what an error message says; an empty one would be no error.
func text(err error) string {
	if e := refusal(err); e != nil {
		return e.Message
	}
	st := status.Convert(err)
	if st.Message() == "" {
		return st.Code().String()
	}
	return st.Message()
}
