package rest

import (
	"context"
	"errors"
	"io"
	"net/http"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/dialect"
	"github.com/sluice-gateway/sluice/rest/inprocess"
	"github.com/sluice-gateway/sluice/rest/openai"
	"github.com/sluice-gateway/sluice/wire"
)

const (
	// maxPrompted bounds the body of a request of OpenAI's API, in bytes. It is held
	// in memory as a whole; images are inside it.
	maxPrompted = 32 << 20
	// decodeCost is how often such a body is in memory while it is decoded.
	decodeCost = 4
	// promptedStep is the first piece of a body of unknown length, in bytes.
	promptedStep = 4 << 10
)

// prompted serves one of OpenAI's routes that take a request: as a stream of one
// request, so that models of either transaction policy answer.
func prompted(route openai.Route) func(*exchange, context.Context, string) {
	return func(x *exchange, ctx context.Context, _ string) {
		x.caller.Metadata[asStatusKey] = asStatus
		stream, err := x.door.conn.Open(ctx, pb.GRPCInferenceService_ModelStreamInfer_FullMethodName)
		if err != nil {
			x.failV1(err, "")
			return
		}
		defer stream.Close()
		s := &promptSource{x: x, route: route}
		if stream.SendMsg(s) == nil { // where it fails, the first answer says why
			_ = stream.CloseSend()
		}
		(&answering{x: x, stream: stream, source: s}).run()
	}
}

// promptSource is a request of OpenAI's API, whose body is read when the chain
// asks for it. Its fields are to be read once an answer or an error has come.
type promptSource struct {
	x       *exchange
	route   openai.Route
	request *openai.Request
	wrong   *openai.Error
}

var _ wire.Source = (*promptSource)(nil)

// Receive reads the body and makes the message.
func (s *promptSource) Receive(ctx context.Context, in *wire.Intake) error {
	err := s.receive(ctx, in)
	if errors.As(err, &s.wrong) {
		return (&dialect.Error{Status: s.wrong.Status, Text: s.wrong.Message}).Refusal()
	}
	if err != nil {
		return s.x.refuse(err)
	}
	return nil
}

func (s *promptSource) receive(ctx context.Context, in *wire.Intake) error {
	body, err := s.body(in)
	if err != nil {
		return err
	}
	model, fields, wrong := openai.Model(body)
	if wrong != nil {
		return wrong
	}
	config, err := s.x.door.opts.ModelConfig(ctx, s.x.call, model, "")
	switch {
	case errors.Is(err, ErrNotAllowed):
		return (&dialect.Generate{Model: model}).Name(in) // which is all that policy needs to refuse it
	case err != nil:
		return err
	}
	if s.request, wrong = openai.Read(s.route, model, fields); wrong != nil {
		return wrong
	}
	made, wrong := s.request.Message(config, s.x.call.ID)
	if wrong != nil {
		return wrong
	}
	return give(made, in)
}

// give makes m the message that is taken in.
func give(m proto.Message, in *wire.Intake) error {
	if err := in.Charge(proto.Size(m)); err != nil {
		return err
	}
	made, err := wire.FromProto(m)
	if err != nil {
		return err
	}
	for _, b := range made.Buffers() {
		b.Ref()
		in.Append(b)
	}
	made.Free()
	return nil
}

// body reads the whole body, charging what it takes and what decoding will take
// before it is in memory.
func (s *promptSource) body(in *wire.Intake) ([]byte, error) {
	from, known, err := s.x.inflated(in)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	most := min(in.Max(), maxPrompted)
	size := promptedStep
	if known >= 0 {
		if known > int64(most) {
			return nil, tooLong
		}
		size = int(known) + 1 // to see its end
	}
	var body []byte
	for {
		if len(body) > most {
			return nil, tooLong
		}
		if len(body) == cap(body) {
			if err := in.Charge(decodeCost * (size - len(body))); err != nil {
				return nil, err
			}
			body = append(make([]byte, 0, size), body...)
			size *= 2
		}
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}

var tooLong = &openai.Error{Status: http.StatusRequestEntityTooLarge, Message: "the body is too long"}

// answering is the answer to a request of OpenAI's API on its way out: in events
// as it comes, or all of it at the end. The first answer of the model decides on
// the status.
type answering struct {
	x       *exchange
	stream  *inprocess.Stream
	source  *promptSource
	text    *openai.Generation
	vectors *openai.Vectors
}

func (a *answering) run() {
	var err error
	for err == nil {
		m := new(wire.Message)
		if err = a.stream.RecvMsg(m); err == nil {
			err = a.take(m)
		}
		m.Free()
	}
	if errors.Is(err, io.EOF) {
		err = a.end()
	}
	if err != nil {
		a.fail(err)
	}
}

// take takes one message of the stream.
func (a *answering) take(m *wire.Message) error {
	view, err := m.StreamResponse()
	if err != nil {
		return err
	}
	if view.ErrorMessage().Len() > 0 {
		return a.failure(view)
	}
	var resp pb.ModelStreamInferResponse
	if err := m.Unmarshal(&resp); err != nil {
		return err
	}
	answer, wrong := openai.ReadAnswer(resp.GetInferResponse())
	if wrong != nil {
		return wrong
	}
	if answer.Empty() {
		return nil
	}
	a.begin()
	if a.vectors != nil {
		return orNil(a.vectors.Take(answer))
	}
	if wrong := a.text.Take(answer); wrong != nil {
		return wrong
	}
	if a.source.request.Stream {
		return a.events(a.text.Events())
	}
	return nil
}

// orNil keeps a nil error nil.
func orNil(e *openai.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// begin is ready for answers to what was asked.
func (a *answering) begin() {
	r := a.source.request
	switch {
	case a.text != nil || a.vectors != nil:
	case r.Route == openai.Embeddings:
		a.vectors = openai.NewVectors(r)
	default:
		a.text = openai.NewGeneration(r, a.x.call.ID, now())
	}
}

// failure is an error that came in the stream: a refusal of Sluice's own, or what
// went wrong in the model.
func (a *answering) failure(view wire.StreamResponse) error {
	text, resp := view.ErrorMessage().String(), view.Response()
	if p, ok := resp.Parameters().Get(reasonKey); ok {
		span, _ := p.Text()
		e := &openai.Error{Status: statusOfReason(span.String()), Message: text, Code: span.String()}
		a.x.reason(e.Code, e.Status)
		return e
	}
	if resp.ModelName().Len() == 0 {
		return &openai.Error{Status: statusOfText(text), Message: text}
	}
	return &openai.Error{Status: http.StatusInternalServerError, Message: text}
}

// reason says in headers what goes with a refusal whose message has the reason alone.
func (x *exchange) reason(reason string, code int) {
	if x.wrote {
		return
	}
	h := x.Header()
	h.Set(reasonHeader, reason)
	switch code {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	case http.StatusTooManyRequests:
		h.Set("Retry-After", "1")
	}
}

// end answers what is left when the stream has ended well.
func (a *answering) end() error {
	var body []byte
	var wrong *openai.Error
	switch {
	case a.vectors != nil:
		body, wrong = a.vectors.Whole()
	case a.text == nil:
		wrong = &openai.Error{Status: http.StatusInternalServerError, Message: "the model gave no answer"}
	case a.source.request.Stream:
		events, wrong := a.text.End()
		if wrong != nil {
			return wrong
		}
		return a.events(append(events, []byte(done)))
	default:
		body, wrong = a.text.Whole()
	}
	if wrong != nil {
		return wrong
	}
	a.x.answerV1(body)
	return nil
}

// done is the data of the event that ends a stream.
const done = "[DONE]"

// events sends events at once.
func (a *answering) events(all [][]byte) error {
	x := a.x
	if !x.wrote {
		h := x.Header()
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no")
		x.WriteHeader(http.StatusOK)
	}
	var out []byte
	for _, data := range all {
		out = append(append(append(out, "data: "...), data...), "\n\n"...)
	}
	if _, err := x.Write(out); err != nil {
		return err
	}
	return x.flush()
}

// fail answers an error, as an event where the answer has begun.
func (a *answering) fail(err error) {
	var wrong *openai.Error
	switch {
	case errors.As(err, &wrong):
	case a.source.wrong != nil:
		wrong = a.source.wrong
		a.x.reason(access.ReasonMalformed, wrong.Status)
	default:
		wrong = a.x.errorV1(err, "")
	}
	if a.x.wrote {
		_ = a.events([][]byte{wrong.JSON(), []byte(done)})
		return
	}
	a.x.writeV1(wrong)
}
