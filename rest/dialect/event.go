package dialect

import (
	"bytes"
	"slices"

	"github.com/sluice-gateway/sluice/wire"
)

// Generated reads and writes answers to …/generate and …/generate_stream, one
// after the other: each a flat object of the response's outputs and parameters,
// in the order of their names. It keeps its memory from one to the next.
type Generated struct {
	response
	members []member
}

// member is one member of the object: an output, a parameter, or text.
type member struct {
	key    []byte
	output *outputTensor
	param  *responseParam
	text   []byte
}

var (
	keyID      = []byte("id")
	keyModel   = []byte("model_name")
	keyVersion = []byte("model_version")
)

// everythingJSON is what the endpoints' requests can say of the answer's form.
var everythingJSON = new(Wanted)

// Scan looks through a ModelStreamInferResponse and checks what could be wrong
// with it. What g says then is valid until m is freed. The errors are those of
// [NewAnswer].
func (g *Generated) Scan(m *wire.Message) error {
	if err := g.scanStream(m); err != nil || len(g.failure) > 0 {
		return err
	}
	if err := g.arrange(everythingJSON); err != nil {
		return err
	}
	g.members = append(g.members[:0], member{key: keyModel, text: g.model}, member{key: keyVersion, text: g.version})
	if len(g.id) > 0 {
		g.members = append(g.members, member{key: keyID, text: g.id})
	}
	for i := range g.params {
		if p := &g.params[i]; string(p.key) != finalResponse {
			g.members = append(g.members, member{key: p.key, param: p})
		}
	}
	for i := range g.outputs {
		g.members = append(g.members, member{key: g.outputs[i].name, output: &g.outputs[i]})
	}
	// Of a name that is there twice the first counts, as in Triton's map.
	slices.SortStableFunc(g.members, func(a, b member) int { return bytes.Compare(a.key, b.key) })
	g.members = slices.CompactFunc(g.members, func(a, b member) bool { return bytes.Equal(a.key, b.key) })
	return nil
}

// finalResponse is the parameter by which gRPC's stream marks a request's last
// answer; HTTP has the body's end for it.
const finalResponse = "triton_final_response"

// Failure is the text of the error that the answer is; empty if it is none.
func (g *Generated) Failure() string { return string(g.failure) }

// Model tells whether a model made the answer. An error that does not say so was
// made before one ran (protocol/kserve-v2.md, section 3).
func (g *Generated) Model() bool { return len(g.model) > 0 }

// Parameter is a response parameter that is a string; empty if there is none.
func (g *Generated) Parameter(key string) string {
	p, _ := g.param(key)
	return string(p.text)
}

// Empty tells whether the answer holds no outputs: it says only that there are
// no more.
func (g *Generated) Empty() bool { return len(g.outputs) == 0 }

// JSON writes the object. The error is the page's.
func (g *Generated) JSON(p *Page) error {
	separator := byte('{')
	for i := range g.members {
		m := &g.members[i]
		p.byte(separator)
		separator = ','
		p.quote(m.key)
		p.byte(':')
		switch {
		case m.output != nil:
			p.generated(m.output)
		case m.param != nil:
			p.parameter(*m.param)
		default:
			p.quote(m.text)
		}
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
