package wire

import "google.golang.org/protobuf/encoding/protowire"

// OnlyFor tells whether nothing is set in the contents but what a datatype has its
// elements in; FP16 and BF16, which have no field of their own, in bytes_contents.
// A server that takes whatever is set, whatever the datatype, would read other
// data than [Contents.Bytes] and [Contents.Numbers] do.
func (c Contents) OnlyFor(datatype string) bool {
	allowed, typed := typedFields[datatype]
	if datatype == "FP16" || datatype == "BF16" {
		allowed, typed = typedFields["BYTES"], true
	}
	it := c.n.fields()
	for r := (record{}); it.next(&r); {
		if contentsTable.find(r.num, r.typ) == nil || r.typ == protowire.BytesType && r.body.len() == 0 && r.num != typedFields["BYTES"] {
			continue // a field that nobody knows, or a packed list of nothing
		}
		if !typed || r.num != allowed {
			return false
		}
	}
	return true
}
