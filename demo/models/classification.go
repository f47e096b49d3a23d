package models

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// maxClassified is how many elements Triton is willing to sort.
const maxClassified = 1_000_000

// classify turns t into its k best elements, each as "value:index", for each
// member of the batch by itself.
func classify(t tensor, k int64, batched bool) (tensor, error) {
	read, ok := printers[t.datatype]
	if !ok {
		return tensor{}, invalid("class result not available for output due to unsupported type '%s'", t.datatype)
	}
	size := int(elementSizes[t.datatype])
	rows, row := 1, len(t.data)
	best := tensor{name: t.name, datatype: bytesType}
	if batched && len(t.shape) > 0 && t.shape[0] > 0 {
		rows = int(t.shape[0])
		row /= rows
		best.shape = append(best.shape, t.shape[0])
	}
	n := row / size
	if n > maxClassified {
		return tensor{}, invalid("classification output tensor too large")
	}
	k = min(k, int64(n))
	best.shape = append(best.shape, k)
	for i := range rows {
		for _, class := range sorted(t.data[i*row:(i+1)*row], size, read)[:k] {
			best.data = appendElement(best.data, fmt.Sprintf("%s:%d", class.text, class.index))
		}
	}
	return best, nil
}

// class is one element of a tensor: how it sorts, how it reads, where it was.
type class struct {
	value float64
	text  string
	index int
}

// sorted lists the elements of a row, the greatest first. Equal ones keep their
// order; Triton's sort promises none.
func sorted(row []byte, size int, read func([]byte) (float64, string)) []class {
	all := make([]class, len(row)/size)
	for i := range all {
		all[i].index = i
		all[i].value, all[i].text = read(row[i*size:])
	}
	slices.SortStableFunc(all, func(a, b class) int { return cmp.Compare(b.value, a.value) })
	return all
}

// printers read one element and print it as C++'s std::to_string does. The
// value is for sorting only: two integers above 2^53 may tie in it.
var printers = map[string]func([]byte) (float64, string){
	"INT8":   func(b []byte) (float64, string) { return whole(int8(b[0])) },                           //nolint:gosec // the bits are the number's
	"INT16":  func(b []byte) (float64, string) { return whole(int16(binary.LittleEndian.Uint16(b))) }, //nolint:gosec // the bits are the number's
	"INT32":  func(b []byte) (float64, string) { return whole(int32(binary.LittleEndian.Uint32(b))) }, //nolint:gosec // the bits are the number's
	"INT64":  func(b []byte) (float64, string) { return whole(int64(binary.LittleEndian.Uint64(b))) }, //nolint:gosec // the bits are the number's
	"UINT8":  func(b []byte) (float64, string) { return whole(b[0]) },
	"UINT16": func(b []byte) (float64, string) { return whole(binary.LittleEndian.Uint16(b)) },
	"UINT32": func(b []byte) (float64, string) { return whole(binary.LittleEndian.Uint32(b)) },
	"UINT64": func(b []byte) (float64, string) { return whole(binary.LittleEndian.Uint64(b)) },
	"FP32": func(b []byte) (float64, string) {
		return fractional(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
	},
	"FP64": func(b []byte) (float64, string) {
		return fractional(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	},
}

// whole prints a whole number.
func whole[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](v T) (float64, string) {
	return float64(v), fmt.Sprintf("%d", v)
}

// fractional prints six digits behind the point, whatever the number.
func fractional(v float64) (float64, string) { return v, fmt.Sprintf("%f", v) }
