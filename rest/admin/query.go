package admin

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sluice-gateway/sluice/access"
)

// maxQuery bounds a query, in bytes.
const maxQuery = 16 << 10

// readQuery reads a query into a message, by the fields' names in proto or JSON,
// with dots between those of a message inside. grpc-gateway's own reading leaves
// out what it does not know, and is one for the whole process.
func readQuery(query string, into proto.Message) error {
	if len(query) > maxQuery {
		return malformed("the query is longer than %d bytes", maxQuery)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return malformed("the query can't be read")
	}
	for name, list := range values {
		m, f := fieldOf(into.ProtoReflect(), name)
		if f == nil {
			return malformed("the query has an unknown field %s", access.Quote(name))
		}
		if m.Has(f) || len(list) > 1 && !f.IsList() {
			return malformed("the query has field %s more than once", f.Name())
		}
		for _, text := range list {
			v, ok := valueOf(f, text)
			if !ok {
				return malformed("the query's %s is not a value of its kind", f.Name())
			}
			if f.IsList() {
				m.Mutable(f).List().Append(v)
			} else {
				m.Set(f, v)
			}
		}
	}
	return nil
}

// fieldOf finds the field of a name, and the message that it is in; nil if there is
// none that a query can set.
func fieldOf(m protoreflect.Message, name string) (protoreflect.Message, protoreflect.FieldDescriptor) {
	name, rest, inside := strings.Cut(name, ".")
	fields := m.Descriptor().Fields()
	f := fields.ByName(protoreflect.Name(name))
	if f == nil {
		f = fields.ByJSONName(name)
	}
	switch {
	case f == nil, f.IsMap():
		return nil, nil
	case !inside:
		if f.Message() != nil && f.Message().FullName() != timestamp {
			return nil, nil
		}
		return m, f
	case f.Message() == nil || f.IsList() || f.Message().FullName() == timestamp:
		return nil, nil
	}
	return fieldOf(m.Mutable(f).Message(), rest)
}

// timestamp is the one message that a query has as a value, in RFC 3339.
var timestamp = new(timestamppb.Timestamp).ProtoReflect().Descriptor().FullName()

// valueOf reads one value.
func valueOf(f protoreflect.FieldDescriptor, text string) (protoreflect.Value, bool) {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text), true
	case protoreflect.BoolKind:
		b, err := strconv.ParseBool(text)
		return protoreflect.ValueOfBool(b), err == nil
	case protoreflect.Int32Kind:
		n, err := strconv.ParseInt(text, 10, 32)
		return protoreflect.ValueOfInt32(int32(n)), err == nil
	case protoreflect.Int64Kind:
		n, err := strconv.ParseInt(text, 10, 64)
		return protoreflect.ValueOfInt64(n), err == nil
	case protoreflect.MessageKind:
		t, err := time.Parse(time.RFC3339Nano, text)
		return protoreflect.ValueOfMessage(timestamppb.New(t).ProtoReflect()), err == nil
	case protoreflect.EnumKind:
		v := f.Enum().Values().ByName(protoreflect.Name(text))
		if v == nil {
			return protoreflect.Value{}, false
		}
		return protoreflect.ValueOfEnum(v.Number()), true
	default:
		return protoreflect.Value{}, false
	}
}
