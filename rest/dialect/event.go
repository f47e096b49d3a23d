package dialect

import (
	"cmp"
	"slices"

	"github.com/sluice-gateway/sluice/wire"
)

// Generated is one answer to …/generate or …/generate_stream: a flat object of
// the response's outputs and parameters, in the order of their names.
type Generated struct {
	answer  *Answer
	members []member
}

// member is one member of the object.
type member struct {
	key   string
	value func(*Page)
}

// NewGenerated looks through an answer of a stream and checks what could be wrong
// with it. The errors are those of [NewAnswer].
func NewGenerated(m *wire.Message, view wire.InferResponse) (*Generated, error) {
	a, err := newAnswer(m, view, new(Wanted))
	if err != nil {
		return nil, err
	}
	g := &Generated{answer: a}
	if id := view.ID(); id.Len() > 0 {
		g.add("id", func(p *Page) { p.quote(id.Bytes()) })
	}
	g.add("model_name", func(p *Page) { p.quote(view.ModelName().Bytes()) })
	g.add("model_version", func(p *Page) { p.quote(view.ModelVersion().Bytes()) })
	for _, param := range sortedParams(view) {
		if param.key != finalResponse {
			g.add(param.key, func(p *Page) { p.parameter(param.value) })
		}
	}
	for i := range a.outputs {
		o := &a.outputs[i]
		g.add(string(o.name), func(p *Page) { p.generated(o) })
	}
	// Of a name that is there twice, the first counts, as in Triton's map.
	slices.SortStableFunc(g.members, func(a, b member) int { return cmp.Compare(a.key, b.key) })
	g.members = slices.CompactFunc(g.members, func(a, b member) bool { return a.key == b.key })
	return g, nil
}

// finalResponse is the parameter by which gRPC's stream marks a request's last
// answer; HTTP has the body's end for it.
const finalResponse = "triton_final_response"

func (g *Generated) add(key string, value func(*Page)) {
	g.members = append(g.members, member{key, value})
}

// Empty tells whether the answer holds no outputs: it says only that there are
// no more.
func (g *Generated) Empty() bool { return len(g.answer.outputs) == 0 }

// JSON writes the object. The error is the page's.
func (g *Generated) JSON(p *Page) error {
	separator := byte('{')
	for _, m := range g.members {
		p.byte(separator)
		separator = ','
		p.quoteString(m.key)
		p.byte(':')
		m.value(p)
	}
	p.byte('}')
	return p.err
}

// generated writes an output: its only element, or all of them as an array.
func (p *Page) generated(o *outputTensor) {
	if count(o.dims) == 1 {
		p.elementsOf(o)
		return
	}
	p.data(o)
}
