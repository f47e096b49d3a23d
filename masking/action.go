package masking

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/wire"
)

// action is an [Action] as compiled.
type action struct {
	kind      actionKind
	n         int     // characters kept, digits, values kept
	low, high float64 // bounds of clip; high alone: noise's deviation
	text      string
	key       []byte
	keep      time.Duration // of tokens; 0 is for ever
}

// whole tells actions on whole tensors of numbers from those on text; drop is both.
func (a *action) whole() bool {
	switch a.kind {
	case actionZero, actionRound, actionTopK, actionClip, actionNoise:
		return true
	}
	return false
}

// takes tells whether an action on whole tensors has a meaning for a datatype.
func (a *action) takes(t wire.Datatype) bool {
	switch a.kind {
	case actionDrop:
		return true
	case actionZero:
		return t.Size() > 0
	case actionRound:
		return t.IsFloat()
	default:
		return t.IsFloat() || t.IsInteger()
	}
}

// hashed is how many bytes of the HMAC are shown, in hexadecimal.
const hashed = 8

// hidden stands for what partial hides, however long it is.
const hidden = "****"

// writer puts what stands in a match's place together while the match arrives.
type writer struct {
	use   *use
	mac   hash.Hash
	last  [maxKeep]rune // the last characters
	count int           // characters so far
	held  []byte        // the beginning of an escape or character
	clear []byte        // what a token will stand for
}

// begin starts a match and returns what can be written at once.
func (w *writer) begin(u *use) string {
	*w = writer{use: u, held: w.held[:0], clear: w.clear}
	switch u.action.kind {
	case actionRedact:
		return "[" + u.entity + "]"
	case actionReplace:
		return u.action.text
	case actionHash:
		w.mac = hmac.New(sha256.New, u.action.key)
		w.mac.Write([]byte(u.entity + "\x00"))
	case actionTokenize:
		w.beginToken()
	}
	return ""
}

// write takes more of the match's text.
func (w *writer) write(text []byte) {
	if k := w.use.action.kind; k != actionHash && k != actionPartial && k != actionTokenize {
		return
	}
	w.held = append(w.held, text...)
	w.held = w.held[w.runes(w.held, false):]
}

// end returns what is written at the match's end.
func (w *writer) end() string {
	switch w.use.action.kind {
	case actionHash:
		w.runes(w.held, true)
		return "[" + w.use.entity + ":" + hex.EncodeToString(w.mac.Sum(nil)[:hashed]) + "]"
	case actionPartial:
		w.runes(w.held, true)
		return w.partial()
	case actionTokenize:
		w.runes(w.held, true)
		return w.token()
	}
	return ""
}

// runes takes over the characters of b, escapes read as what they stand for,
// and returns how many bytes that were.
func (w *writer) runes(b []byte, eof bool) (n int) {
	for n < len(b) {
		r, size := utf8.DecodeRune(b[n:])
		if r == '\\' {
			r, size = unescaped(b[n:])
		}
		if !eof && (size == 0 || !utf8.FullRune(b[n:])) {
			return n
		}
		w.rune(r)
		n += max(size, 1)
	}
	return n
}

// unescaped reads the escape that b begins with, as JSON has them; one that is
// none is a backslash. 0 bytes: its rest is missing.
func unescaped(b []byte) (rune, int) {
	switch {
	case len(b) > 1 && b[1] == '/':
		return '/', 2
	case len(b) > 1 && b[1] != 'u':
		return '\\', 1
	case len(b) < 6:
		return '\\', 0
	}
	v, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return '\\', 1
	}
	return rune(v), 6
}

// rune takes one character. What is not seen does not count; a number is the
// same number however it is grouped.
func (w *writer) rune(r rune) {
	if unicode.Is(unicode.Cf, r) {
		return
	}
	if w.use.action.kind == actionTokenize {
		w.addClear(r)
	}
	if w.mac != nil {
		if !strings.ContainsRune(" -\u00a0\u2009\u202f", r) {
			w.mac.Write(utf8.AppendRune(nil, r))
		}
		return
	}
	copy(w.last[:], w.last[1:])
	w.last[maxKeep-1] = r
	w.count++
}

// partial is the end of the match: at most half of it.
func (w *writer) partial() string {
	keep := min(w.use.action.n, w.count/2)
	out := hidden
	for _, r := range w.last[maxKeep-keep:] {
		if !unicode.IsPrint(r) || strings.ContainsRune(`"\<>&`, r) {
			r = '*' // could end or change what it is written into
		}
		out += string(r)
	}
	return out
}

// appendQuoted appends text as the inside of a JSON string.
func appendQuoted(dst []byte, text string) []byte {
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			dst = append(dst, `\u00`...)
			dst = append(dst, hex.EncodeToString([]byte{byte(r)})...)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}
