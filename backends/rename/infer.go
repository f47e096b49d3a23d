package rename

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// versionField is ModelInferRequest.model_version.
const versionField = 2

// request makes of a request what the server is sent, and tells under which name
// the caller knows the model if that is another one. made is nil where the request
// goes on as it is; else it is the caller's to free.
func (n *names) request(m *wire.Message) (made *wire.Message, public string, err error) {
	view, err := m.InferRequest()
	if err != nil {
		return nil, "", err
	}
	model := view.ModelName().String()
	if err := n.known(model); err != nil {
		return nil, "", err
	}
	server, renamed := n.server[model]
	version, wanted := n.versions[model]
	wanted = wanted && view.ModelVersion().Len() == 0
	if !renamed && !wanted {
		return nil, "", nil
	}
	if view.Ambiguous() {
		canonical, err := view.Canonical()
		if err != nil {
			return nil, "", err
		}
		defer canonical.Free()
		return n.request(canonical)
	}
	var edits []wire.Edit
	if renamed {
		public = model
		edits = append(edits, replace(view.ModelName(), server))
	}
	if wanted {
		edits = append(edits, setVersion(view.ModelVersion(), version))
	}
	slices.SortFunc(edits, func(a, b wire.Edit) int { return cmp.Compare(a.Start, b.Start) })
	made, err = m.Rewrite(edits)
	return made, public, err
}

func replace(s wire.Span, text string) wire.Edit {
	start, end := s.Range()
	return wire.Edit{Start: start, End: end, New: []byte(text)}
}

// setVersion fills in an empty version, be its field there or not: no value
// stands at a message's first byte.
func setVersion(at wire.Span, version string) wire.Edit {
	if start, _ := at.Range(); start > 0 {
		return replace(at, version)
	}
	return wire.Edit{New: protowire.AppendString(protowire.AppendTag(nil, versionField, protowire.BytesType), version)}
}

// answer puts the callers' name into a ModelInferResponse.
func (n *names) answer(resp any) error {
	switch r := resp.(type) {
	case *wire.Message:
		view, err := r.InferResponse()
		if err != nil {
			return backends.NotKServe(err)
		}
		return n.put(r, view, view.Ambiguous(), view.Canonical, func(m *wire.Message) (wire.InferResponse, error) { return m.InferResponse() })
	case *inference.ModelInferResponse:
		r.ModelName, _ = n.toPublic(r.GetModelName())
	}
	return nil
}

// streamAnswer puts the callers' name into a ModelStreamInferResponse.
func (n *names) streamAnswer(resp any) error {
	switch r := resp.(type) {
	case *wire.Message:
		view, err := r.StreamResponse()
		if err != nil {
			return backends.NotKServe(err)
		}
		return n.put(r, view.Response(), view.Ambiguous(), view.Canonical, func(m *wire.Message) (wire.InferResponse, error) {
			again, err := m.StreamResponse()
			return again.Response(), err
		})
	case *inference.ModelStreamInferResponse:
		if r.GetInferResponse() != nil {
			r.InferResponse.ModelName, _ = n.toPublic(r.GetInferResponse().GetModelName())
		}
	}
	return nil
}

// put replaces the name in the response at view within m, and makes m that.
func (n *names) put(m *wire.Message, view wire.InferResponse, ambiguous bool, canonical func() (*wire.Message, error), read func(*wire.Message) (wire.InferResponse, error)) error {
	public, renamed := n.public[view.ModelName().String()]
	if !renamed {
		return nil
	}
	if ambiguous {
		plain, err := canonical()
		if err != nil {
			return err
		}
		if err := become(m, plain); err != nil {
			return err
		}
		if view, err = read(m); err != nil {
			return backends.NotKServe(err)
		}
	}
	made, err := m.Rewrite([]wire.Edit{replace(view.ModelName(), public)})
	if err != nil {
		return err
	}
	return become(m, made)
}

// become gives m what made holds, in the place of what it held.
func become(m, made *wire.Message) error {
	m.Reset()
	if err := m.Take(made); err != nil {
		made.Free()
		return err
	}
	return nil
}
