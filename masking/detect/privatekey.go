package detect

import (
	"bytes"
	"strings"
)

// privateKey finds blocks of private keys: PEM (RFC 7468), OpenSSH's, PGP's
// and SSH2's. From the line that begins one everything belongs to it, up to
// the line that ends it or the text's end.
var privateKey = &Detector{
	info:    Info{"PRIVATE_KEY", "private keys (-----BEGIN … PRIVATE KEY)", 0, 0.5},
	anchors: "-",
	// A line of dashes across the page is none.
	behind: func(_, before byte) bool { return before != '-' },
	verify: func(w *window, e *entry, at int) {
		if w.before(at) == '-' {
			return
		}
		lim, final := w.ahead(at)
		end, open := keyLine(w.b[at:lim], "BEGIN")
		switch {
		case open && !final:
			w.wait(at)
		case end > 0:
			w.hit(e, at, at+end, 1)
		}
	},
	swallow: func(w *window, from int) (end int, done bool) {
		for i := from; ; {
			k := bytes.IndexByte(w.b[i:], '-')
			if k < 0 {
				return len(w.b), w.eof
			}
			// The rest of a run of dashes whose beginning was swallowed already is
			// no line's beginning.
			if i += k; w.before(i) != '-' {
				lim, final := w.ahead(i)
				n, open := keyLine(w.b[i:lim], "END")
				switch {
				case open && !final:
					return i, false
				case n > 0:
					return i + n, true
				}
			}
			for i < len(w.b) && w.b[i] == '-' {
				i++
			}
		}
	},
}

// PEM has five dashes on each side, SSH2 (RFC 4716) four and a space; models
// miscount.
const (
	minDashes = 4
	maxDashes = 8
	maxLabel  = 48
)

// keyLine reads a line that begins or ends a private key: dashes, the word, a
// label, dashes. open tells that b may be the beginning of one.
func keyLine(b []byte, word string) (end int, open bool) {
	i := 0
	for i < len(b) && i <= maxDashes && b[i] == '-' {
		i++
	}
	switch {
	case i == len(b) && i <= maxDashes:
		return 0, true
	case i < minDashes || i > maxDashes:
		return 0, false
	}
	for n := 0; n < 2 && i < len(b) && b[i] == ' '; n++ {
		i++
	}
	for k := range len(word) {
		if i == len(b) {
			return 0, true
		}
		if b[i] != word[k] {
			return 0, false
		}
		i++
	}
	from := i
	for i < len(b) && i-from < maxLabel && (is(b[i], isCapital) || b[i] == ' ') {
		i++
	}
	label := string(b[from:i])
	for i < len(b) && i-from < maxLabel+maxDashes && b[i] == '-' {
		i++
	}
	open = i == len(b) && i-from < maxLabel+maxDashes
	if !strings.Contains(label, "PRIVATE KEY") || i == from+len(label) {
		return 0, open
	}
	return i, open
}
