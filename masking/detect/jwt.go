package detect

import (
	"encoding/base64"
	"strings"
)

// jwt finds JSON web tokens, signed and encrypted ones (RFC 7515, 7516). What
// begins like a JOSE header is a token to its end, however long it is.
var jwt = &Detector{
	info:    Info{"JWT", "JSON web tokens", 0, 0.5},
	anchors: "J",
	lag:     2,
	behind:  func(_, before byte) bool { return before == 'y' },
	verify: func(w *window, e *entry, at int) {
		start := at - 2
		if start < w.floor || w.b[start] != 'e' || w.b[start+1] != 'y' || w.wordBefore(start) {
			return
		}
		lim, final := w.ahead(start)
		end := start
		for end < lim && is(w.b[end], isToken) {
			end++
		}
		switch {
		// The first name of a header is enough; where it is another's, a second part
		// that begins like the first one is.
		case joseHeader(w.b[start:end]):
			w.hit(e, start, min(end, start+maxJOSE), 0.95)
		case end == lim && !final:
			w.wait(start)
		case end-start < minHeader:
		case end+3 < lim && w.b[end] == '.' && string(w.b[end+1:end+4]) == "eyJ":
			w.hit(e, start, end+4, 0.95)
		case end+3 >= lim && !final && strings.HasPrefix(".eyJ", string(w.b[end:lim])):
			w.wait(start)
		}
	},
	open:    func(w *window, _ *entry) int { return w.prefixOpen("eyJ", isWord) },
	swallow: swallowToken,
}

// maxJOSE is how much of a token tells that it is one: the base64 of {"alg":
// and names as long.
const maxJOSE = 14

// minHeader is how long the base64 of a header is at least: {"alg":0}.
const minHeader = 12

// joseNames are the names that a token's header may begin with.
var joseNames = []string{"alg", "typ", "kid", "enc", "cty", "jku", "jwk", "x5u", "x5c", "x5t", "crit", "zip", "epk", "apu", "apv", "b64", "iss", "ver"}

// joseHeader tells whether text is the base64 of a JOSE header's beginning.
func joseHeader(text []byte) bool {
	var buf [maxJOSE]byte
	n := min(len(text), maxJOSE) / 4 * 4
	got, err := base64.RawURLEncoding.Decode(buf[:], text[:n])
	if err != nil {
		return false
	}
	head := string(buf[:got])
	for _, name := range joseNames {
		if strings.HasPrefix(head, `{"`+name+`"`) {
			return true
		}
	}
	return false
}

// swallowToken goes on to the end of a token. One dot or two belong to it where
// more follows: the second part of an encrypted token may be empty.
func swallowToken(w *window, from int) (end int, done bool) {
	for end = from; end < len(w.b); {
		if is(w.b[end], isToken) || w.b[end] == '=' {
			end++
			continue
		}
		next := end
		lim, final := w.ahead(end)
		for next < lim && next-end < 2 && w.b[next] == '.' {
			next++
		}
		switch {
		case next == lim:
			return end, final
		case next == end || !is(w.b[next], isToken):
			return end, true
		}
		end = next
	}
	return end, w.eof
}
