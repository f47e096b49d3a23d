package detect

import (
	"strings"
	"unicode/utf8"
)

const (
	maxLocal = 64  // RFC 5321, 4.5.3.1.1
	maxEmail = 244 // RFC 5321 allows 254; what is longer ends here
	// maxDense is how many characters of scripts without spaces between words a
	// local part may have: in a stream of such a text, so many are always held.
	maxDense = 4
)

// email finds mail addresses: a local part as people have them (no quoted
// ones), and a domain that ends in a name.
var email = &Detector{
	info:    Info{"EMAIL", "mail addresses", maxEmail, 0.5},
	anchors: "@",
	lag:     maxLocal,
	behind:  func(_, before byte) bool { return is(before, isLocal) },
	verify: func(w *window, e *entry, at int) {
		start := localStart(w, at)
		if start == at {
			return
		}
		lim, final := w.ahead(start)
		if at >= lim {
			return
		}
		end, open := domainEnd(w.b, at+1, lim)
		if open && !final {
			w.wait(start)
		}
		if end > 0 {
			w.hit(e, start, end, 0.95)
		}
	},
	open: func(w *window, _ *entry) int { return localStart(w, len(w.b)) },
}

// localStart is where the local part before b[at] begins, at if there is none.
func localStart(w *window, at int) int {
	from := max(w.floor, at-maxLocal)
	if w.fold != nil { // written as escapes, it must leave space for the domain
		from = max(from, w.fold.ceil(w.fold.org(at)-w.reach/2))
	}
	start, dense := at, 0
	for start > from && is(w.b[start-1], isLocal) {
		start--
		if w.b[start] >= 0x80 && utf8.RuneStart(w.b[start]) && spaceless(w.b[start:]) {
			if dense++; dense == maxDense {
				break
			}
		}
	}
	start = w.alignStart(start)
	for start < at && !is(w.b[start], isWord) && w.b[start] != '_' {
		start++ // 'jane@example.com' in quotes, -jane@example.com
	}
	return start
}

// domainEnd is where the domain from b[i] on ends, 0 if it is none. open tells
// that it could go on behind b[:lim].
func domainEnd(b []byte, i, lim int) (end int, open bool) {
	for labels := 1; ; labels++ {
		from := i
		for i < lim && is(b[i], isLabel) {
			i++
		}
		to := i
		for to > from && b[to-1] == '-' {
			to--
		}
		if to == from {
			return end, i == lim
		}
		if labels > 1 && topLevel(b[from:to]) {
			end = to
		}
		if to < i || i == lim || b[i] != '.' {
			return end, i == lim
		}
		i++
	}
}

// topLevel tells whether a label can be a domain's last: a name of two letters
// or more that is not a picture's (icon@2x.png).
func topLevel(label []byte) bool {
	if len(label) < 2 || !is(label[0], isLetter) || is(label[len(label)-1], isDigit) && !strings.HasPrefix(string(label), "xn--") {
		return false
	}
	switch string(label) {
	case "png", "jpg", "jpeg", "gif", "svg", "webp":
		return false
	}
	return true
}
