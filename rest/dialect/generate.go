package dialect

import (
	"io"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// Generate is a request to …/generate or …/generate_stream on its way into a
// ModelInferRequest: a flat object whose members are inputs of the model, and
// parameters where they are not.
type Generate struct {
	// Model and Version are those of the path.
	Model, Version string
	// Config says which inputs the model has.
	Config *pb.ModelConfig
}

// Receive reads the body and makes the message. The errors are those of
// [Infer.Receive].
func (r *Generate) Receive(body io.Reader, in *wire.Intake) error {
	b, err := newBuilder(body, unlimited, in)
	if err != nil {
		return err
	}
	defer b.close()
	g := &generating{builder: b, request: r, seen: make(map[string]struct{})}
	if err := g.document(); err != nil {
		return err
	}
	b.head.give()
	b.data.give()
	return nil
}

// Name makes the message of a request that names a model and holds nothing: what
// policy needs to refuse it.
func (r *Generate) Name(in *wire.Intake) error {
	head := text{in: in}
	if err := head.prologue(r.Model, r.Version); err != nil {
		return err
	}
	s := sink{in: in}
	if err := s.write(head.b); err != nil {
		return err
	}
	s.give()
	return nil
}

// generating is a Generate while it is read.
type generating struct {
	*builder
	request *Generate
	seen    map[string]struct{}
	nested  bool // within "parameters"
	shape   shape
}

func (g *generating) document() error {
	head := text{in: g.in}
	if err := head.prologue(g.request.Model, g.request.Version); err != nil {
		return err
	}
	if err := g.head.write(head.b); err != nil {
		return err
	}
	c, err := g.root()
	if err != nil {
		return err
	}
	if c != '{' {
		if err := g.other(noMembers); err != noMembers {
			return err
		}
		if err := g.finish(); err != nil {
			return err
		}
		return noMembers
	}
	if err := g.object(&g.key, g.member); err != nil {
		return err
	}
	return g.finish()
}

// member reads a member as the input of that name, or as a parameter. Of a
// parameter that is repeated the first counts; an input must not be.
func (g *generating) member(key []byte) error {
	if !g.nested && string(key) == "parameters" {
		return g.parameters()
	}
	input := g.input(key)
	isNew, err := g.remember(g.seen, key)
	switch {
	case err != nil:
		return err
	case !isNew && input != nil:
		return invalid("[request id: <id_unknown>] input '%s' already exists in request", key)
	case !isNew:
		return g.skip()
	case input != nil:
		return g.tensor(input)
	}
	p, err := g.scalar(key)
	if err != nil {
		return err
	}
	if !g.nested && string(key) == "id" {
		if p.kind != paramString {
			return within("Unable to parse 'id'", notString)
		}
		if err := g.head.field(reqID, p.text); err != nil {
			return err
		}
	}
	return g.forward(key, p)
}

// forward writes a parameter. Triton's rules for reserved keys do not hold on this
// endpoint, but they do where the request goes to: a key of theirs stays here.
func (g *generating) forward(key []byte, p param) error {
	if isReserved(key) {
		return nil
	}
	g.entry.reset()
	if err := p.appendTo(&g.entry, key); err != nil {
		return err
	}
	return g.head.field(reqParameters, g.entry.b)
}

// parameters reads the one nested object, whose members are like those around it.
func (g *generating) parameters() error {
	isNew, err := g.remember(g.seen, []byte("parameters"))
	if err != nil {
		return err
	}
	if !isNew {
		return g.skip()
	}
	if g.peek() != '{' {
		return within("Expected JSON object for keyword: 'parameters'", g.other(notObject))
	}
	g.nested = true
	err = g.object(&g.key, g.member)
	g.nested = false
	return within("Converting keyword: 'parameters'", err)
}

// input finds the model's input of a name.
func (g *generating) input(name []byte) *pb.ModelInput {
	for _, input := range g.request.Config.GetInput() {
		if input.GetName() == string(name) {
			return input
		}
	}
	return nil
}

// tensor reads a member as an input: a scalar, or an array, of which
// the length counts.
func (g *generating) tensor(input *pb.ModelInput) error {
	name := datatypeName(input.GetDataType())
	kind := datatypes[name]
	if kind.noJSON() != "" {
		return invalid("receiving %s data via JSON is not supported. Please use the binary data format for input %s", name, input.GetName())
	}
	if err := g.data.begin(); err != nil {
		return err
	}
	e := elements{builder: g.builder, kind: kind, most: -1}
	length, err := e.member()
	if err != nil {
		return e.within(err)
	}
	g.data.end(reqRaw)
	if refused := g.fit(input, length); refused != nil {
		return refused
	}
	if e.count != length && kind != typeBytes {
		return e.within(wrongShape)
	}
	g.entry.reset()
	if err := g.entry.field(tensorName, []byte(input.GetName())); err != nil {
		return err
	}
	if err := g.entry.field(tensorDatatype, []byte(name)); err != nil {
		return err
	}
	if err := g.entry.shape(g.shape.dims); err != nil {
		return err
	}
	return g.head.field(reqInputs, g.entry.b)
}

// member reads a scalar or an array, and returns how long that is.
func (e *elements) member() (length int64, err error) {
	if e.peek() != '[' {
		return 1, e.element()
	}
	err = e.array(func() error {
		length++
		if e.peek() == '[' {
			return e.list()
		}
		return e.element()
	})
	return length, err
}

// fit pads a number of elements to the shape of an input: fixed dimensions take
// theirs, the innermost variable one takes what is left.
func (g *generating) fit(input *pb.ModelInput, count int64) *Error {
	s := &g.shape
	s.dims = s.dims[:0]
	if g.request.Config.GetMaxBatchSize() > 0 {
		s.dims = append(s.dims, -1)
	}
	s.dims = append(s.dims, input.GetDims()...)
	left := count
	for _, d := range s.dims {
		if d == -1 {
			continue
		}
		if d <= 0 || left%d != 0 {
			return badFit(input)
		}
		left /= d
	}
	for i := len(s.dims) - 1; i >= 0; i-- {
		if s.dims[i] == -1 {
			s.dims[i], left = left, 1
		}
	}
	if left != 1 {
		return badFit(input)
	}
	return nil
}

func badFit(input *pb.ModelInput) *Error {
	return invalid("The schema can not convert input '%s' to tensor with proper shape", input.GetName())
}
