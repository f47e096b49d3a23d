package kserve

import "google.golang.org/protobuf/encoding/protowire"

func appendString(b []byte, num protowire.Number, s string) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendString(b, s)
}

func appendMessage(b []byte, num protowire.Number, m []byte) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, m)
}

// appendData appends n bytes of tensor data: a pattern that does not compress
// to nothing.
func appendData(b []byte, num protowire.Number, n int) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(n))
	return append(b, pattern(n)...)
}

// pattern gives n bytes that repeat after patternBytes, further apart than
// gzip looks back.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(2463534242) // xorshift32
	for i := range min(n, patternBytes) {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	for done := patternBytes; done < n; done *= 2 {
		copy(b[done:], b[:done])
	}
	return b
}

const patternBytes = 64 << 10

// appendParam appends one entry of a map<string, InferParameter>.
func appendParam(b []byte, key string, v int64) []byte {
	value := protowire.AppendTag(nil, paramInt64, protowire.VarintType)
	value = protowire.AppendVarint(value, uint64(v))
	entry := appendString(nil, entryKey, key)
	return appendMessage(b, reqParams, appendMessage(entry, entryValue, value))
}

// tensor gives an InferInputTensor or InferOutputTensor of shape [1, n]; the
// two agree in these fields.
func tensor(name, datatype string, n int) []byte {
	b := appendString(nil, 1, name)
	b = appendString(b, 2, datatype)
	shape := protowire.AppendVarint(nil, 1)
	shape = protowire.AppendVarint(shape, uint64(n))
	return appendMessage(b, 3, shape)
}

// bytesField gives the last length-delimited field num of m, or nil.
func bytesField(m []byte, num protowire.Number) []byte {
	var found []byte
	for len(m) > 0 {
		got, typ, n := protowire.ConsumeTag(m)
		if n < 0 {
			return nil
		}
		size := protowire.ConsumeFieldValue(got, typ, m[n:])
		if size < 0 {
			return nil
		}
		if got == num && typ == protowire.BytesType {
			found, _ = protowire.ConsumeBytes(m[n:])
		}
		m = m[n+size:]
	}
	return found
}
