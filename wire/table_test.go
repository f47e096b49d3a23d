package wire

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// TestTables holds the tables to the contract that is compiled in: a field
// that is added there and not here would be scanned as unknown.
func TestTables(t *testing.T) {
	tests := []struct {
		table *table
		desc  protoreflect.MessageDescriptor
	}{
		{&requestTable, (*inference.ModelInferRequest)(nil).ProtoReflect().Descriptor()},
		{&tensorTable, (*inference.ModelInferRequest_InferInputTensor)(nil).ProtoReflect().Descriptor()},
		{&requestedTable, (*inference.ModelInferRequest_InferRequestedOutputTensor)(nil).ProtoReflect().Descriptor()},
		{&responseTable, (*inference.ModelInferResponse)(nil).ProtoReflect().Descriptor()},
		{&tensorTable, (*inference.ModelInferResponse_InferOutputTensor)(nil).ProtoReflect().Descriptor()},
		{&streamTable, (*inference.ModelStreamInferResponse)(nil).ProtoReflect().Descriptor()},
		{&contentsTable, (*inference.InferTensorContents)(nil).ProtoReflect().Descriptor()},
		{&parameterTable, (*inference.InferParameter)(nil).ProtoReflect().Descriptor()},
		{&entryTable, (*inference.ModelInferRequest)(nil).ProtoReflect().Descriptor().Fields().ByName("parameters").Message()},
	}
	for _, tt := range tests {
		t.Run(string(tt.desc.Name()), func(t *testing.T) { checkTable(t, tt.table, tt.desc) })
	}
}

func checkTable(t *testing.T, tab *table, desc protoreflect.MessageDescriptor) {
	t.Helper()
	if tab.entry != desc.IsMapEntry() {
		t.Errorf("entry is %v", tab.entry)
	}
	known := 0
	for num := range tab.fields {
		if tab.fields[num].kind != unknown {
			known++
		}
	}
	if known != desc.Fields().Len() {
		t.Errorf("the table has %d fields, the contract %d", known, desc.Fields().Len())
	}
	once := make(map[uint16]protoreflect.FullName)
	for i := range desc.Fields().Len() {
		fd := desc.Fields().Get(i)
		got := tab.fields[fd.Number()]
		if got.name != string(fd.Name()) || got.kind != kindOf(fd) {
			t.Errorf("field %d is %s of kind %d, want %s of kind %d", fd.Number(), got.name, got.kind, fd.Name(), kindOf(fd))
		}
		if (got.sub != nil) != (fd.Message() != nil) {
			t.Errorf("%s: message or not", fd.Name())
		}
		if repeats := fd.IsList() || fd.IsMap(); repeats != (got.once == 0) {
			t.Errorf("%s: once is %d", fd.Name(), got.once)
		}
		owner := fd.FullName()
		if o := fd.ContainingOneof(); o != nil {
			owner = o.FullName()
		}
		if got.once != 0 && once[got.once] != "" && once[got.once] != owner {
			t.Errorf("%s shares its once bit with %s", fd.Name(), once[got.once])
		}
		once[got.once] = owner
		if int(got.once) >= len(survey{}.once) {
			t.Errorf("%s: once bit %d does not fit into a survey", fd.Name(), got.once)
		}
	}
}

// kindOf is the kind that a field of the contract must have.
func kindOf(fd protoreflect.FieldDescriptor) kind {
	if fd.IsMap() {
		return paramsMap
	}
	kinds := map[protoreflect.Kind][2]kind{ // singular, repeated
		protoreflect.StringKind:  {text, unknown},
		protoreflect.BytesKind:   {unknown, blobs},
		protoreflect.BoolKind:    {varint, varints},
		protoreflect.Int32Kind:   {varint, varints},
		protoreflect.Int64Kind:   {varint, varints},
		protoreflect.Uint32Kind:  {varint, varints},
		protoreflect.Uint64Kind:  {varint, varints},
		protoreflect.FloatKind:   {unknown, fixed32s},
		protoreflect.DoubleKind:  {fixed64, fixed64s},
		protoreflect.MessageKind: {submsg, submsgs},
	}
	if fd.IsList() {
		return kinds[fd.Kind()][1]
	}
	return kinds[fd.Kind()][0]
}

func TestWireTypes(t *testing.T) {
	if len(wireTypes) != int(paramsMap)+1 {
		t.Fatalf("wire types for %d kinds of %d", len(wireTypes), paramsMap+1)
	}
	for typ := protowire.Type(0); typ < 8; typ++ {
		if requestTable.find(0, typ) != nil || requestTable.find(maxFields, typ) != nil || requestTable.find(8, typ) != nil {
			t.Errorf("a field that is not there was found with wire type %d", typ)
		}
	}
	if len(faultTexts) != int(tooLong)+1 {
		t.Errorf("%d texts for %d faults", len(faultTexts), tooLong+1)
	}
}
