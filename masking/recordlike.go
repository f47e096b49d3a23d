package masking

import (
	"bytes"
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// likeness is what answers of a stream say that differ in their raw data alone, as
// nearly all tokens do. It is decoded, masked and encoded once for all of them.
type likeness struct {
	head   []byte // without raw data, as it came
	resp   *pb.ModelInferResponse
	types  []wire.Datatype // of the outputs
	first  []*streamText   // by output, what its first element is of
	plain  bool            // each output is kept, and is nothing but raw data
	masked []byte          // head as it is kept; nil before it is made
}

// maxLikes bounds how many likenesses one request's answers have. Others are each
// decoded by themselves.
const maxLikes = 8

// like finds an answer's likeness, and cuts its raw data off; false where there is none
// that can be used.
func (s *streamRun) like(message []byte) (*likeness, []byte, bool) {
	for _, l := range s.likes {
		if raws, can := wire.CutLike(message, l.head); can {
			return l, raws, l.plain
		}
	}
	head, raws, can := wire.CutAnswer(message)
	if !can || len(s.likes) == maxLikes {
		return nil, nil, false
	}
	l := s.newLikeness(head)
	s.likes = append(s.likes, l)
	return l, raws, l.plain
}

func (s *streamRun) newLikeness(head []byte) *likeness {
	l := &likeness{head: head, resp: &pb.ModelInferResponse{}}
	if s.decode(head, l.resp) != nil {
		return l // which is said of the whole answer
	}
	for _, one := range l.resp.Outputs {
		typ := wire.ParseDatatype(one.GetDatatype())
		if typ == wire.UnknownType || one.Contents != nil || s.hides(one.GetName()) {
			return l
		}
		l.types = append(l.types, typ)
		l.first = append(l.first, nil)
	}
	l.plain = true
	return l
}

// alike reads an answer that is like another; false where it has to be decoded.
func (s *streamRun) alike(message []byte, into *streamAnswer) (bool, *access.Error) {
	l, raws, can := s.like(message)
	if !can {
		return false, nil
	}
	n, elems := 0, 0
	for data := range wire.RawOutputs(raws) {
		if n == len(l.types) {
			return false, nil
		}
		if l.types[n] == wire.Bytes {
			count, whole := countElements(data)
			if !whole {
				return false, s.cannot(brokenElements)
			}
			elems += count
		} else if !sized(l.resp.Outputs[n].Shape, l.types[n], len(data)) {
			return false, s.cannot(otherLength)
		}
		n++
	}
	if n < len(l.types) {
		return false, nil
	}
	into.like, into.raws, into.elems = l, raws, s.room(elems)
	s.take(into)
	return true, nil
}

// take notes the elements of an answer as chunks of their texts.
func (s *streamRun) take(a *streamAnswer) {
	n, output := 0, 0
	for data := range wire.RawOutputs(a.raws) {
		for index := 0; a.like.types[output] == wire.Bytes && len(data) > 0; index++ {
			a.elems[n], data = nextElement(data)
			text := a.like.first[output]
			if text == nil || index > 0 {
				text = s.textAt(textPlace{a.like.resp.Outputs[output].GetName(), index})
			}
			if index == 0 {
				a.like.first[output] = text
			}
			text.chunks = append(text.chunks, &a.elems[n])
			n++
		}
		output++
	}
}

// room is room for the elements of an answer. It stays where it is.
func (s *streamRun) room(n int) [][]byte {
	if len(s.free) < n {
		s.free = make([][]byte, max(n, 256))
	}
	room := s.free[:n:n]
	s.free = s.free[n:]
	return room
}

// put encodes an answer that is like others; it is the one that came where nothing was
// masked in it.
func (s *streamRun) put(message []byte, a *streamAnswer) ([]byte, *access.Error) {
	l := a.like
	if l.masked == nil {
		refused := s.answerWords(l.resp)
		if refused == nil {
			l.masked, refused = s.encode(l.resp)
		}
		if refused != nil {
			return nil, refused
		}
	}
	if bytes.Equal(l.masked, l.head) && !a.changed() {
		return message, nil
	}
	body := slices.Clone(l.masked)
	output, elems := 0, a.elems
	for data := range wire.RawOutputs(a.raws) {
		if l.types[output] == wire.Bytes {
			n, _ := countElements(data)
			data, elems = appendElements(nil, elems[:n]), elems[n:]
		}
		body = protowire.AppendBytes(protowire.AppendTag(body, rawOutputs, protowire.BytesType), data)
		output++
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, inferResponse, protowire.BytesType), body), nil
}

// The fields of an answer that are encoded here: ModelStreamInferResponse's
// infer_response and ModelInferResponse's raw_output_contents.
const (
	inferResponse = 2
	rawOutputs    = 6
)

// changed tells whether anything was masked in the answer's elements.
func (a *streamAnswer) changed() bool {
	n, output := 0, 0
	for data := range wire.RawOutputs(a.raws) {
		for a.like.types[output] == wire.Bytes && len(data) > 0 {
			var before []byte
			if before, data = nextElement(data); !bytes.Equal(before, a.elems[n]) {
				return true
			}
			n++
		}
		output++
	}
	return false
}

// countElements counts the elements of a BYTES tensor's raw data, and tells whether
// they are all of it.
func countElements(data []byte) (n int, whole bool) {
	for ; len(data) > 0; n++ {
		if len(data) < elementPrefix || uint64(binary.LittleEndian.Uint32(data)) > uint64(len(data)-elementPrefix) {
			return 0, false
		}
		_, data = nextElement(data)
	}
	return n, true
}

// elementPrefix is how many bytes stand before an element: its length.
const elementPrefix = 4

// nextElement takes the first element off data that has been counted.
func nextElement(data []byte) (elem, rest []byte) {
	n := elementPrefix + int(binary.LittleEndian.Uint32(data))
	return data[elementPrefix:n:n], data[n:]
}

// appendElements makes raw data of elements.
func appendElements(data []byte, elems [][]byte) []byte {
	for _, elem := range elems {
		data = binary.LittleEndian.AppendUint32(data, uint32(len(elem)))
		data = append(data, elem...)
	}
	return data
}
