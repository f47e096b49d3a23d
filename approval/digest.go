package approval

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// maxDecoded bounds a message that has to be decoded to be digested: one with
// fields that the contract does not have, or with data in fields that are not its
// datatype's. It is copied for that, outside of any budget.
const maxDecoded = 4 << 20

// DigestInfer is the digest of an infer's content, as the backend will read it:
// all parameters with their types, all inputs with their data, all outputs that
// are asked for, and what the contract does not know. The order of maps and of
// fields makes no difference, and neither does the caller's id of the request:
// a repeat may have another one. Model and version are not in it; they are
// the [Ask]'s.
//
// Data in shared memory can be changed after it was agreed to: an input there is
// refused. The errors are [access.Error]s.
func DigestInfer(m *wire.Message) ([32]byte, error) {
	view, err := m.InferRequest()
	if err != nil {
		return [32]byte{}, err
	}
	if view.Ambiguous() {
		canonical, err := view.Canonical()
		if err != nil {
			return [32]byte{}, err
		}
		defer canonical.Free()
		return DigestInfer(canonical)
	}
	d := newTensors(m)
	if refused := d.request(view); refused != nil {
		return [32]byte{}, refused
	}
	if !d.plain || view.Foreign() {
		return decoded(m)
	}
	return d.sum(), nil
}

// decoded is the digest of a message that the view does not show all of.
func decoded(m *wire.Message) ([32]byte, error) {
	if m.Len() > maxDecoded {
		return [32]byte{}, &access.Error{
			Kind: access.Malformed, Reason: access.ReasonMalformed,
			Message: fmt.Sprintf("a request of more than %d bytes that needs approval may hold no unknown fields, and its typed data only in the field of its datatype", maxDecoded),
		}
	}
	var request inference.ModelInferRequest
	if err := m.Unmarshal(&request); err != nil {
		return [32]byte{}, err
	}
	request.Id = ""
	return DigestControl(&request), nil
}

// DigestControl is the digest of a decoded message of a control RPC: all its
// fields, those that the contract does not have included. The order of maps and
// of fields on the wire makes no difference.
func DigestControl(m proto.Message) [32]byte {
	r := m.ProtoReflect()
	d := newDigester("sluice content of a message 1")
	d.text(string(r.Descriptor().FullName()))
	d.message(r)
	return d.sum()
}

// message hashes what is set in m, in the order of its fields' numbers.
func (d *digester) message(m protoreflect.Message) {
	type field struct {
		fd    protoreflect.FieldDescriptor
		value protoreflect.Value
	}
	var fields []field
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		fields = append(fields, field{fd, v})
		return true
	})
	slices.SortFunc(fields, func(a, b field) int { return int(a.fd.Number()) - int(b.fd.Number()) })
	d.number(uint64(len(fields)))
	for _, f := range fields {
		d.number(uint64(f.fd.Number()))
		d.field(f.fd, f.value)
	}
	d.bytes(m.GetUnknown())
}

func (d *digester) field(fd protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch {
	case fd.IsMap():
		d.entries(fd, v.Map())
	case fd.IsList():
		list := v.List()
		d.number(uint64(list.Len()))
		for i := range list.Len() {
			d.value(fd, list.Get(i))
		}
	default:
		d.value(fd, v)
	}
}

// sortedKeys are a map's keys, which are texts in the contract.
func sortedKeys(m protoreflect.Map) []protoreflect.MapKey {
	keys := make([]protoreflect.MapKey, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

// entries hashes a map by its keys' order.
func (d *digester) entries(fd protoreflect.FieldDescriptor, m protoreflect.Map) {
	keys := sortedKeys(m)
	d.number(uint64(len(keys)))
	for _, k := range keys {
		d.text(k.String())
		d.value(fd.MapValue(), m.Get(k))
	}
}

// value hashes one value. The field's number stands before it, and says its type.
func (d *digester) value(fd protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch x := v.Interface().(type) {
	case protoreflect.Message:
		d.message(x)
	case string:
		d.text(x)
	case []byte:
		d.bytes(x)
	case bool:
		d.flag(x)
	case protoreflect.EnumNumber:
		d.number(uint64(x))
	default:
		d.number(bits(x))
	}
}
