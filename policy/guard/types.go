package guard

import (
	"fmt"
	"net/netip"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// The types of expressions beside CEL's own and the configuration's.
var (
	inputType = cel.ObjectType("guard.Input")
	fileType  = cel.ObjectType("guard.File")
)

const configType = "inference.ModelConfig"

// provider adds our types to those of the configuration's messages, so that a
// field that is misspelt is found when a guard is loaded.
type provider struct{ types.Provider }

// field is a field of type T.
type field[T any] struct {
	typ *cel.Type
	get func(T) any
}

var inputFields = map[string]field[*input]{
	"name":          {cel.StringType, func(i *input) any { return i.name }},
	"datatype":      {cel.StringType, func(i *input) any { return i.datatype }},
	"shape":         {cel.ListType(cel.IntType), func(i *input) any { return i.shape }},
	"bytes":         {cel.IntType, func(i *input) any { return i.bytes() }},
	"shared_memory": {cel.BoolType, func(i *input) any { return i.shared }},
}

var fileFields = map[string]field[*file]{
	"name":  {cel.StringType, func(f *file) any { return f.name }},
	"bytes": {cel.IntType, func(f *file) any { return f.bytes }},
}

// FindStructType finds a type by its name.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	switch name {
	case inputType.TypeName():
		return types.NewTypeTypeWithParam(inputType), true
	case fileType.TypeName():
		return types.NewTypeTypeWithParam(fileType), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldType finds a field of a type.
func (p provider) FindStructFieldType(name, key string) (*types.FieldType, bool) {
	switch name {
	case inputType.TypeName():
		return fieldOf(inputFields, key)
	case fileType.TypeName():
		return fieldOf(fileFields, key)
	}
	return p.Provider.FindStructFieldType(name, key)
}

func fieldOf[T any](fields map[string]field[T], key string) (*types.FieldType, bool) {
	f, found := fields[key]
	if !found {
		return nil, false
	}
	return &types.FieldType{
		Type:  f.typ,
		IsSet: func(any) bool { return true },
		GetFrom: func(target any) (any, error) {
			t, ok := target.(T)
			if !ok {
				return nil, fmt.Errorf("no such field: %s", key)
			}
			return f.get(t), nil
		},
	}, true
}

// NewValue makes none of ours: an expression looks at what there is.
func (p provider) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if name == inputType.TypeName() || name == fileType.TypeName() {
		return types.NewErr("%s can't be made", name)
	}
	return p.Provider.NewValue(name, fields)
}

// object is a value whose fields the provider knows. It converts to nothing and
// equals nothing but itself.
type object struct {
	typ   *types.Type
	value any
}

var _ ref.Val = object{}

// ConvertToNative is of [ref.Val].
func (o object) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("no conversion to %v", t)
}

// ConvertToType is of [ref.Val].
func (o object) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return o.typ
	}
	return types.NewErr("no conversion to %s", t.TypeName())
}

// Equal is of [ref.Val].
func (o object) Equal(other ref.Val) ref.Val {
	same, ok := other.(object)
	return types.Bool(ok && same.value == o.value)
}

// Type is of [ref.Val].
func (o object) Type() ref.Type { return o.typ }

// Value is of [ref.Val].
func (o object) Value() any { return o.value }

// binding makes a function of the call and a name out of a method of its reading.
func binding(adapter types.Adapter, read func(*reading, string) (any, error)) func(call, name ref.Val) ref.Val {
	return func(call, name ref.Val) ref.Val {
		r, ok := call.Value().(*reading)
		text, isText := name.(types.String)
		if !ok || !isText {
			return types.MaybeNoSuchOverloadErr(name)
		}
		v, err := read(r, string(text))
		if err != nil {
			return types.WrapErr(err)
		}
		return adapter.NativeToValue(v)
	}
}

// cidr tells whether an address is in a network. A call without an address (an
// in-memory connection) has no answer.
func cidr(address, network ref.Val) ref.Val {
	a, err := netip.ParseAddr(string(address.(types.String)))
	if err != nil {
		return types.WrapErr(fail("the caller's address is not known"))
	}
	n, err := netip.ParsePrefix(string(network.(types.String)))
	if err != nil {
		return types.WrapErr(fail("a network is not one"))
	}
	return types.Bool(n.Contains(a.Unmap()))
}

// sizes says how large the things are that an expression may go over.
type sizes struct{}

var _ cost.Estimator = sizes{}

// EstimateSize is that of lists, and what is common for the texts in them; what is
// larger costs more when it is looked at, up to the same bound.
func (sizes) EstimateSize(cost.AstNode) *cost.SizeEstimate {
	return &cost.SizeEstimate{Max: maxListed}
}

// EstimateCallCost knows our own functions, whose time is that of the text, and that
// what stands in a list or a map is as large as anything else.
func (sizes) EstimateCallCost(function, _ string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	switch function {
	case textFunction:
		return cost.NewCallEstimate(cost.Estimate{Min: 1, Max: maxText / 100}, &cost.SizeEstimate{Max: maxText})
	case textsFunction, jsonFunction:
		return cost.NewCallEstimate(cost.Estimate{Min: 1, Max: maxText / 100}, &cost.SizeEstimate{Max: maxListed})
	case operators.Index:
		return cost.NewCallEstimate(cost.Estimate{Min: 1, Max: 1}, &cost.SizeEstimate{Max: maxListed})
	}
	return nil
}

// anySize says nothing of how large things are: the estimate of what hangs on that is
// then without bound.
type anySize struct{}

// EstimateSize knows no size.
func (anySize) EstimateSize(cost.AstNode) *cost.SizeEstimate { return nil }

// EstimateCallCost knows no function.
func (anySize) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
