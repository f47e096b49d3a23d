package payload

import (
	"encoding/binary"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// maxIndexed is how much of a payload's text is split into words, in bytes.
const maxIndexed = 1 << 20

// place is one element of a stream's output, whose chunks make up a text.
type place struct {
	output string
	index  int
}

// index gathers the words of a content's texts. Chunks of a stream are put
// together first: words go across their borders.
func index(c *Content, words wordSet) {
	texts := map[place]*strings.Builder{}
	left := maxIndexed
	for i := range c.Frames {
		f := &c.Frames[i]
		switch f.Kind {
		case Failure:
			words.add(string(f.Message))
		case Request:
			m := &pb.ModelInferRequest{}
			if proto.Unmarshal(f.Message, m) == nil {
				each(m.GetInputs(), m.GetRawInputContents(), func(_ place, text []byte) { words.add(string(text)) })
			}
		case Answer:
			m := &pb.ModelInferResponse{}
			if proto.Unmarshal(f.Message, m) == nil {
				each(m.GetOutputs(), m.GetRawOutputContents(), func(_ place, text []byte) { words.add(string(text)) })
			}
		case Stream:
			m := &pb.ModelStreamInferResponse{}
			if proto.Unmarshal(f.Message, m) != nil {
				continue
			}
			words.add(m.GetErrorMessage())
			each(m.GetInferResponse().GetOutputs(), m.GetInferResponse().GetRawOutputContents(), func(at place, text []byte) {
				if left -= len(text); left < 0 {
					return
				}
				if texts[at] == nil {
					texts[at] = &strings.Builder{}
				}
				texts[at].Write(text)
			})
		}
	}
	for _, text := range texts {
		words.add(text.String())
	}
}

// tensor is an input or an output.
type tensor interface {
	GetName() string
	GetDatatype() string
	GetParameters() map[string]*pb.InferParameter
	GetContents() *pb.InferTensorContents
}

// sharedMemory is the parameter of a tensor whose data is not in the message.
const sharedMemory = "shared_memory_region"

// each calls visit with the elements of all tensors of text.
func each[T tensor](all []T, raws [][]byte, visit func(place, []byte)) {
	inline := len(raws) != len(all) // then those in shared memory have none
	for _, t := range all {
		n := 0
		_, shared := t.GetParameters()[sharedMemory]
		if len(raws) > 0 && (!inline || !shared) {
			data := raws[0]
			raws = raws[1:]
			for t.GetDatatype() == wire.Bytes.String() && len(data) >= 4 {
				size := uint64(binary.LittleEndian.Uint32(data))
				if size > uint64(len(data)-4) {
					break
				}
				visit(place{t.GetName(), n}, data[4:4+size])
				n, data = n+1, data[4+size:]
			}
		}
		for _, text := range t.GetContents().GetBytesContents() {
			visit(place{t.GetName(), n}, text)
			n++
		}
	}
}
