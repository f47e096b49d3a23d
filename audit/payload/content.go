package payload

import (
	"errors"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Content is what is kept of one call, or of one request of a stream.
type Content struct {
	// Frames are its messages, in the order in which they came and went.
	Frames []Frame
	// Complete tells that nothing was left out for its size, and that what the call
	// was answered with had come to its end.
	Complete bool
}

// Frame is one message, or an error.
type Frame struct {
	Kind Kind
	// At is when it passed, since the record's time.
	At time.Duration
	// Size is how many bytes it was on its way; negative is never. A message that was
	// not kept for its size has no Message, though its Size is not 0.
	Size int
	// Message is masked and encoded; an error's is its text.
	Message []byte
	// Type is the protobuf type of a message of kind Other.
	Type string
	// Cut tells that the message was left out for its size.
	Cut bool
	// Masked tells that something was masked in it: it is not what was said, word by
	// word. Of the answers of a stream all are, or none.
	Masked bool
}

// TypeName is the protobuf type of the frame's message; empty for an error's text.
func (f *Frame) TypeName() string {
	switch f.Kind {
	case Request:
		return "inference.ModelInferRequest"
	case Answer:
		return "inference.ModelInferResponse"
	case Stream:
		return "inference.ModelStreamInferResponse"
	default:
		return f.Type
	}
}

// Asked tells whether the caller sent it.
func (f *Frame) Asked() bool { return f.Kind == Request || f.Kind == OtherAsked }

// Kind says what a frame is.
type Kind uint8

// The kinds of frames. Their numbers are kept for ever.
const (
	Request     Kind = 1 // a ModelInferRequest
	Answer      Kind = 2 // a ModelInferResponse
	Stream      Kind = 3 // a ModelStreamInferResponse
	Failure     Kind = 4 // the error that ended it, as text
	OtherAsked  Kind = 5 // another RPC's request
	OtherAnswer Kind = 6 // and its answer
)

// errContent is what no Content was written as.
var errContent = errors.New("payload: not a content's encoding")

// The fields of the encodings, which are protobuf messages.
const (
	fieldFrame    = 1
	fieldComplete = 2

	frameKind   = 1
	frameAt     = 2
	frameSize   = 3
	frameData   = 4
	frameType   = 5
	frameCut    = 6
	frameMasked = 7
)

func (c *Content) append(dst []byte) []byte {
	var head []byte
	for i := range c.Frames {
		f := &c.Frames[i]
		head = f.appendHead(head[:0])
		dst = protowire.AppendTag(dst, fieldFrame, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(len(head)+dataSize(len(f.Message))))
		dst = append(dst, head...)
		dst = protowire.AppendBytes(protowire.AppendTag(dst, frameData, protowire.BytesType), f.Message)
	}
	return appendNumber(dst, fieldComplete, flag(c.Complete))
}

// dataSize is how long the field of a message of n bytes is.
func dataSize(n int) int { return protowire.SizeTag(frameData) + protowire.SizeBytes(n) }

// appendHead encodes a frame without its message, which is copied once.
func (f *Frame) appendHead(dst []byte) []byte {
	dst = appendNumber(dst, frameKind, uint64(f.Kind))
	dst = appendNumber(dst, frameAt, uint64(f.At.Microseconds()))
	dst = appendNumber(dst, frameSize, uint64(f.Size))
	if f.Type != "" {
		dst = protowire.AppendString(protowire.AppendTag(dst, frameType, protowire.BytesType), f.Type)
	}
	dst = appendNumber(dst, frameCut, flag(f.Cut))
	return appendNumber(dst, frameMasked, flag(f.Masked))
}

func appendNumber(dst []byte, num protowire.Number, n uint64) []byte {
	if n == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), n)
}

func flag(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}

// decodeContent reads an encoding, and passes over fields that a later version
// wrote. It keeps parts of b.
func decodeContent(b []byte) (*Content, error) {
	c := &Content{}
	err := visit(b, func(num protowire.Number, n uint64, v []byte) error {
		switch num {
		case fieldFrame:
			f, err := decodeFrame(v)
			c.Frames = append(c.Frames, f)
			return err
		case fieldComplete:
			c.Complete = n != 0
		}
		return nil
	})
	return c, err
}

func decodeFrame(b []byte) (f Frame, err error) {
	err = visit(b, func(num protowire.Number, n uint64, v []byte) error {
		switch num {
		case frameKind:
			f.Kind = Kind(n)
		case frameAt:
			f.At = time.Duration(n) * time.Microsecond
		case frameSize:
			f.Size = int(n)
		case frameData:
			f.Message = v
		case frameType:
			f.Type = string(v)
		case frameCut:
			f.Cut = n != 0
		case frameMasked:
			f.Masked = n != 0
		}
		return nil
	})
	return f, err
}

// visit calls back with each field of a message: its number or its bytes.
func visit(b []byte, field func(num protowire.Number, n uint64, v []byte) error) error {
	for len(b) > 0 {
		num, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errContent
		}
		b = b[size:]
		var n uint64
		var v []byte
		switch typ {
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			v, size = protowire.ConsumeBytes(b)
		default:
			num, size = 0, protowire.ConsumeFieldValue(num, typ, b)
		}
		if size < 0 {
			return errContent
		}
		b = b[size:]
		if err := field(num, n, v); err != nil {
			return err
		}
	}
	return nil
}
