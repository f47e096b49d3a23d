package approval_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

func str(s string) *pb.InferParameter {
	return &pb.InferParameter{ParameterChoice: &pb.InferParameter_StringParam{StringParam: s}}
}

// request has each field of the contract set.
func request() *pb.ModelInferRequest {
	return &pb.ModelInferRequest{
		ModelName: "m", ModelVersion: "1", Id: "mine",
		Parameters: map[string]*pb.InferParameter{
			"text": str("a"), "bool": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}},
			"int": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 1}}, "uint": {ParameterChoice: &pb.InferParameter_Uint64Param{Uint64Param: 1}},
			"double": {ParameterChoice: &pb.InferParameter_DoubleParam{DoubleParam: 1}}, "none": {},
		},
		Inputs: []*pb.ModelInferRequest_InferInputTensor{
			{Name: "raw", Datatype: "FP32", Shape: []int64{1, 2}, Parameters: map[string]*pb.InferParameter{"binary_data_size": str("8")}},
			{Name: "texts", Datatype: "BYTES", Shape: []int64{2}, Contents: &pb.InferTensorContents{BytesContents: [][]byte{[]byte("a"), []byte("bc")}}},
			{Name: "ints", Datatype: "INT8", Shape: []int64{2}, Contents: &pb.InferTensorContents{IntContents: []int32{-1, 3}}},
			{Name: "bools", Datatype: "BOOL", Shape: []int64{2}, Contents: &pb.InferTensorContents{BoolContents: []bool{true, false}}},
			{Name: "floats", Datatype: "FP32", Shape: []int64{1}, Contents: &pb.InferTensorContents{Fp32Contents: []float32{1.5}}},
			{Name: "doubles", Datatype: "FP64", Shape: []int64{1}, Contents: &pb.InferTensorContents{Fp64Contents: []float64{1.5}}},
			{Name: "longs", Datatype: "INT64", Shape: []int64{1}, Contents: &pb.InferTensorContents{Int64Contents: []int64{-5}}},
			{Name: "ulongs", Datatype: "UINT64", Shape: []int64{1}, Contents: &pb.InferTensorContents{Uint64Contents: []uint64{5}}},
			{Name: "uints", Datatype: "UINT16", Shape: []int64{1}, Contents: &pb.InferTensorContents{UintContents: []uint32{5}}},
			{Name: "empty", Datatype: "INT32", Contents: &pb.InferTensorContents{}},
		},
		Outputs: []*pb.ModelInferRequest_InferRequestedOutputTensor{
			{Name: "out", Parameters: map[string]*pb.InferParameter{"classification": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 3}}}}, {Name: "second"},
		},
		RawInputContents: [][]byte{{0, 0, 128, 63, 0, 0, 0, 64}, {1}},
	}
}

func digest(t testing.TB, raw []byte) [32]byte {
	t.Helper()
	d, err := approval.DigestInfer(wire.FromBytes(raw))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// scattered is raw in buffers of a few bytes.
func scattered(raw []byte, size int) *wire.Message {
	var bufs mem.BufferSlice
	for len(raw) > 0 {
		n := min(size, len(raw))
		bufs = append(bufs, mem.SliceBuffer(bytes.Clone(raw[:n])))
		raw = raw[n:]
	}
	return wire.New(bufs)
}

// mutate yields m once for each thing in it that can be changed alone: a scalar is
// changed, an element taken out or added, two swapped, a key renamed.
func mutate(m protoreflect.Message, path string, try func(what string)) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		at := path + "." + string(fd.Name())
		set := func(what string, to protoreflect.Value) {
			m.Set(fd, to)
			try(at + " " + what)
			m.Set(fd, v)
		}
		switch {
		case fd.IsMap():
			mutateMap(fd, v.Map(), at, try)
			if v.Map().Len() < 2 {
				return true // cleared is what it is without its only entry
			}
			copied := m.NewField(fd)
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool { copied.Map().Set(k, v); return true })
			m.Clear(fd)
			try(at + " cleared")
			m.Set(fd, copied)
		case fd.IsList():
			mutateList(m, fd, v.List(), at, try)
		case fd.Message() != nil:
			mutate(v.Message(), at, try)
			m.Clear(fd)
			try(at + " cleared")
			m.Set(fd, v)
		default:
			set("changed", other(fd, v))
			if fd.ContainingOneof() != nil {
				for i := range fd.ContainingOneof().Fields().Len() {
					if sibling := fd.ContainingOneof().Fields().Get(i); sibling.Number() != fd.Number() {
						m.Set(sibling, sibling.Default())
						try(at + " as " + string(sibling.Name()))
					}
				}
				m.Set(fd, v)
			}
		}
		return true
	})
	unknown := m.GetUnknown()
	m.SetUnknown(append(bytes.Clone(unknown), 0x98, 0x06, 1)) // field 99
	try(path + " with an unknown field")
	m.SetUnknown(unknown)
}

func mutateMap(fd protoreflect.FieldDescriptor, all protoreflect.Map, at string, try func(string)) {
	var keys []protoreflect.MapKey
	all.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool { keys = append(keys, k); return true })
	for _, k := range keys {
		v := all.Get(k)
		all.Clear(k)
		try(at + " without " + k.String())
		renamed := protoreflect.ValueOfString(k.String() + "x").MapKey()
		all.Set(renamed, v)
		try(at + " with " + k.String() + " renamed")
		all.Clear(renamed)
		all.Set(k, v)
		if fd.MapValue().Message() != nil {
			mutate(v.Message(), at+"["+k.String()+"]", try)
		}
	}
}

func mutateList(m protoreflect.Message, fd protoreflect.FieldDescriptor, list protoreflect.List, at string, try func(string)) {
	n := list.Len()
	if fd.Message() != nil {
		for i := range n {
			mutate(list.Get(i).Message(), fmt.Sprintf("%s[%d]", at, i), try)
		}
	} else {
		for i := range n {
			v := list.Get(i)
			list.Set(i, other(fd, v))
			try(fmt.Sprintf("%s[%d] changed", at, i))
			list.Set(i, v)
		}
	}
	if n > 1 {
		if a, b := list.Get(0), list.Get(1); !a.Equal(b) {
			list.Set(0, b)
			list.Set(1, a)
			try(at + " swapped")
			list.Set(0, a)
			list.Set(1, b)
		}
	}
	var all []protoreflect.Value
	for i := range n {
		all = append(all, list.Get(i))
	}
	set := func(values []protoreflect.Value) {
		anew := m.NewField(fd)
		for _, v := range values {
			anew.List().Append(v)
		}
		m.Set(fd, anew)
	}
	set(all[:n-1])
	try(at + " shorter")
	set(append(all[:n:n], all[0]))
	try(at + " longer")
	set(all)
}

// other is another value of the field's type.
func other(fd protoreflect.FieldDescriptor, v protoreflect.Value) protoreflect.Value {
	switch x := v.Interface().(type) {
	case string:
		return protoreflect.ValueOfString(x + "x")
	case []byte:
		return protoreflect.ValueOfBytes(append([]byte{0}, x...))
	case bool:
		return protoreflect.ValueOfBool(!x)
	case int32:
		return protoreflect.ValueOfInt32(x + 1)
	case int64:
		return protoreflect.ValueOfInt64(x + 1)
	case uint32:
		return protoreflect.ValueOfUint32(x + 1)
	case uint64:
		return protoreflect.ValueOfUint64(x + 1)
	case float32:
		return protoreflect.ValueOfFloat32(x + 1)
	case float64:
		return protoreflect.ValueOfFloat64(x + 1)
	}
	panic("a type that the contract does not have: " + fd.Kind().String())
}

func TestEachChangeOfARequestIsAnother(t *testing.T) {
	m := request()
	seen := map[[32]byte]string{digest(t, marshal(t, m)): "the request itself"}
	n := 0
	mutate(m.ProtoReflect(), "request", func(what string) {
		n++
		d := digest(t, marshal(t, m))
		if what == "request.id changed" {
			if seen[d] != "the request itself" {
				t.Error("a repeat with another id is another request")
			}
			return
		}
		if before, again := seen[d]; again {
			t.Errorf("%s is the same as %s", what, before)
		}
		seen[d] = what
	})
	if n < 150 {
		t.Errorf("only %d changes were tried", n)
	}
	if d := digest(t, marshal(t, m)); seen[d] != "the request itself" {
		t.Error("the changes were not taken back")
	}
}

func TestEachChangeOfAControlMessageIsAnother(t *testing.T) {
	file := func(s string) *pb.ModelRepositoryParameter {
		return &pb.ModelRepositoryParameter{ParameterChoice: &pb.ModelRepositoryParameter_BytesParam{BytesParam: []byte(s)}}
	}
	for _, m := range []proto.Message{
		&pb.RepositoryModelLoadRequest{RepositoryName: "r", ModelName: "m", Parameters: map[string]*pb.ModelRepositoryParameter{
			"config": {ParameterChoice: &pb.ModelRepositoryParameter_StringParam{StringParam: "{}"}}, "file:1/model.onnx": file("weights"), "file:1/b": file(""),
		}},
		&pb.RepositoryModelUnloadRequest{ModelName: "m", Parameters: map[string]*pb.ModelRepositoryParameter{
			"unload_dependents": {ParameterChoice: &pb.ModelRepositoryParameter_BoolParam{BoolParam: true}},
		}},
		&pb.TraceSettingRequest{ModelName: "m", Settings: map[string]*pb.TraceSettingRequest_SettingValue{"trace_level": {Value: []string{"A", "B"}}}},
		&pb.LogSettingsRequest{Settings: map[string]*pb.LogSettingsRequest_SettingValue{"log_info": {ParameterChoice: &pb.LogSettingsRequest_SettingValue_BoolParam{BoolParam: true}}}},
		&pb.SystemSharedMemoryRegisterRequest{Name: "n", Key: "k", Offset: 1, ByteSize: 2},
	} {
		seen := map[[32]byte]string{approval.DigestControl(m): "the message itself"}
		mutate(m.ProtoReflect(), string(m.ProtoReflect().Descriptor().Name()), func(what string) {
			d := approval.DigestControl(m)
			if before, again := seen[d]; again {
				t.Errorf("%s is the same as %s", what, before)
			}
			seen[d] = what
		})
	}
	a, b := &pb.RepositoryModelUnloadRequest{ModelName: "m"}, &pb.RepositoryModelLoadRequest{ModelName: "m"}
	if approval.DigestControl(a) == approval.DigestControl(b) {
		t.Error("messages of two kinds are the same")
	}
}

// reencode writes m in another way that says the same: fields in another order,
// numbers unpacked, maps in any order, singular fields repeated.
func reencode(t testing.TB, m *pb.ModelInferRequest, r *rand.Rand) []byte {
	t.Helper()
	whole := marshal(t, m)
	var fields [][]byte
	for len(whole) > 0 {
		_, _, n := protowire.ConsumeField(whole)
		fields = append(fields, whole[:n])
		whole = whole[n:]
	}
	var out []byte
	for _, i := range order(fields, r) {
		out = append(out, fields[i]...)
	}
	// What comes again of a singular field wins.
	again := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "elsewhere")
	return append(again, out...)
}

// order shuffles map entries among themselves and everything between kinds of
// fields, and keeps the order of repeated ones.
func order(fields [][]byte, r *rand.Rand) []int {
	byNumber := map[protowire.Number][]int{}
	var numbers []protowire.Number
	for i, f := range fields {
		num, _, _ := protowire.ConsumeTag(f)
		if byNumber[num] == nil {
			numbers = append(numbers, num)
		}
		byNumber[num] = append(byNumber[num], i)
	}
	r.Shuffle(len(numbers), func(i, j int) { numbers[i], numbers[j] = numbers[j], numbers[i] })
	var all []int
	for _, num := range numbers {
		group := byNumber[num]
		if num == 4 { // parameters
			r.Shuffle(len(group), func(i, j int) { group[i], group[j] = group[j], group[i] })
		}
		all = append(all, group...)
	}
	return all
}

func TestTwoEncodingsOfOneRequestAreTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m := request()
	want := digest(t, marshal(t, m))
	for i := range 200 {
		raw := reencode(t, m, r)
		got, err := approval.DigestInfer(scattered(raw, 1+i%37))
		if err != nil || got != want {
			t.Fatalf("encoding %d: %v, the same: %t", i, err, got == want)
		}
	}
}

func TestWhatABackendReadsIsWhatCounts(t *testing.T) {
	first, last := marshal(t, &pb.ModelInferRequest{ModelName: "m", ModelVersion: "1"}), marshal(t, &pb.ModelInferRequest{ModelVersion: "2"})
	if digest(t, append(bytes.Clone(first), last...)) != digest(t, marshal(t, &pb.ModelInferRequest{ModelName: "m", ModelVersion: "2"})) {
		t.Error("the last value of a repeated field is not the one that counts")
	}
	if digest(t, append(bytes.Clone(first), last...)) == digest(t, first) {
		t.Error("a second value changes nothing")
	}
	bools := func(raw ...byte) []byte { // bool_contents of any number but 0 is true
		contents := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), raw)
		input := protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), "BOOL")
		input = protowire.AppendBytes(protowire.AppendTag(input, 5, protowire.BytesType), contents)
		return protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), input)
	}
	if digest(t, bools(1, 0)) != digest(t, bools(2, 0)) || digest(t, bools(1, 0)) == digest(t, bools(1, 1)) {
		t.Error("numbers are not taken as their field's type takes them")
	}
}

func TestDataInAFieldOfAnotherTypeCounts(t *testing.T) {
	with := func(n int64) []byte {
		m := request()
		m.Inputs[1].Contents.Int64Contents = []int64{n} // of an input of BYTES
		return marshal(t, m)
	}
	if digest(t, with(1)) == digest(t, with(2)) {
		t.Error("what stands in another field can be changed")
	}
	large := request()
	large.Inputs[1].Contents.Int64Contents = []int64{1}
	large.RawInputContents[0] = make([]byte, 5<<20)
	_, err := approval.DigestInfer(wire.FromBytes(marshal(t, large)))
	refused(t, err, access.Malformed, access.ReasonMalformed)
}

func TestSharedMemoryCannotBeAgreedTo(t *testing.T) {
	m := request()
	m.Inputs[0].Parameters["shared_memory_region"] = str("r")
	_, err := approval.DigestInfer(wire.FromBytes(marshal(t, m)))
	refused(t, err, access.NeedsApproval, access.ReasonNeedsApproval, "shared memory")
	m = request()
	m.Outputs[0].Parameters["shared_memory_region"] = str("r")
	digest(t, marshal(t, m)) // an answer may go there
}

// FuzzDigest holds the digest to what protobuf reads: two messages have one
// digest exactly if they are equal but for their ids.
func FuzzDigest(f *testing.F) {
	f.Add(marshal(f, request()), marshal(f, request()))
	f.Add(marshal(f, request()), append(marshal(f, request()), 0x98, 0x06, 1))
	f.Add([]byte("\x0a\x01a\x0a\x01b"), []byte("\x0a\x01b"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var ma, mb pb.ModelInferRequest
		if proto.Unmarshal(a, &ma) != nil || proto.Unmarshal(b, &mb) != nil {
			return
		}
		da, errA := approval.DigestInfer(scattered(a, 7))
		db, errB := approval.DigestInfer(wire.FromBytes(b))
		if errA != nil || errB != nil {
			return
		}
		ma.Id, mb.Id = "", ""
		// Only a digest that is the same tells something: unknown fields and NaNs are
		// compared by their bytes.
		if da == db && !proto.Equal(&ma, &mb) && !bytes.Equal(deterministic(t, &ma), deterministic(t, &mb)) {
			t.Errorf("one digest of\n%v\n%v", &ma, &mb)
		}
		again, err := approval.DigestInfer(wire.FromBytes(marshal(t, &ma)))
		if len(a) < 4<<20 && (err != nil || again != da) && !hasUnknown(ma.ProtoReflect()) {
			t.Errorf("written anew it is another: %v", err)
		}
	})
}

func deterministic(t *testing.T, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func hasUnknown(m protoreflect.Message) (found bool) {
	found = len(m.GetUnknown()) > 0
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap() && fd.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				found = found || hasUnknown(v.Message())
				return true
			})
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				found = found || hasUnknown(v.List().Get(i).Message())
			}
		case !fd.IsList() && !fd.IsMap() && fd.Message() != nil:
			found = found || hasUnknown(v.Message())
		}
		return true
	})
	return found
}
