package kserve

import (
	"bytes"
	_ "embed" // of a text
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// prose is what streams say: of Isaac Newton's Opticks (1730), from queries 16 to 31.
//
//go:embed prose.txt
var prose string

var words = strings.Fields(prose)

// A token is text, and so in JSON too, and ends with its time stamp: a mark and so
// many digits of the base 16, which are no letters, so that the words of the text stay
// the words of its language. None is escaped in JSON.
const (
	stampMark = '~'
	stampSize = 16
	digits    = "!#$%()*,;:=?^|{}"
	hexDigits = "0123456789abcdef"
)

// Text is what one stream says: a text from somewhere on, or words that no other is.
type Text struct {
	from   int
	unique bool
}

// NewText gives the text of a stream that a asks for.
func NewText(a Ask) Text { return Text{from: rand.IntN(len(words)), unique: a.Unique} }

// Token gives the text of the n-th token, which was due then.
func (t Text) Token(n int, due time.Time) string {
	word, base := words[(t.from+n)%len(words)], digits
	if t.unique {
		word, base = "token", hexDigits // the stamp is a word then
	}
	b := make([]byte, 0, 1+len(word)+1+stampSize)
	b = append(append(append(b, ' '), word...), stampMark)
	ns := uint64(due.UnixNano())
	for shift := 4 * (stampSize - 1); shift >= 0; shift -= 4 {
		b = append(b, base[ns>>shift&0xf])
	}
	return string(b)
}

// Token gives the n-th of a.Tokens answers on a stream, with that text. As vLLM's
// does, it holds one BYTES tensor text_output.
func Token(a Ask, n int, said string) *Raw {
	resp := appendAnswerHead(make([]byte, 0, 160), a)
	value := []byte{paramBool << 3, 0}
	if n == a.Tokens-1 {
		value[1] = 1
	}
	entry := appendString(nil, entryKey, "triton_final_response")
	resp = appendMessage(resp, respParams, appendMessage(entry, entryValue, value))
	resp = appendMessage(resp, respOutputs, tensor("text_output", "BYTES", 1))
	text := binary.LittleEndian.AppendUint32(nil, uint32(len(said)))
	resp = appendMessage(resp, respRaw, append(text, said...))
	return NewRaw(appendMessage(make([]byte, 0, len(resp)+4), streamResponse, resp))
}

var errToken = errors.New("answer on a stream is an error or no token")

// TokenDue gives the time stamp of a [Token], wherever in the message it is.
func TokenDue(msg mem.BufferSlice) (time.Time, error) {
	b := msg.Materialize()
	if len(b) == 0 || b[0] != streamResponse<<3|byte(protowire.BytesType) {
		return time.Time{}, errToken
	}
	return TextDue(b)
}

// TextDue gives the time stamp of the last token in b.
func TextDue(b []byte) (time.Time, error) {
	at := bytes.LastIndexByte(b, stampMark) + 1
	if at == 0 || len(b) < at+stampSize {
		return time.Time{}, errToken
	}
	var ns uint64
	for _, c := range b[at : at+stampSize] {
		d := max(strings.IndexByte(digits, c), strings.IndexByte(hexDigits, c))
		if d < 0 {
			return time.Time{}, errToken
		}
		ns = ns<<4 | uint64(d)
	}
	return time.Unix(0, int64(ns)), nil
}
