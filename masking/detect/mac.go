package detect

// mac finds hardware addresses: six pairs of hexadecimal digits between colons
// or dashes, or three groups of four between dots (IEEE 802, EUI-48).
var mac = &Detector{
	info:    Info{"MAC", "hardware addresses (00:1b:44:11:3a:b7, 001b.4411.3ab7)", 17, 0.5},
	anchors: ":-.",
	lag:     4,
	behind:  func(_, before byte) bool { return is(before, isHex) },
	verify: func(w *window, e *entry, at int) {
		sep := w.b[at]
		size, groups := 2, 6
		if sep == '.' {
			size, groups = 4, 3
		}
		start := at - size
		if start < w.floor || w.wordBefore(start) || w.before(start) == sep {
			return
		}
		lim, final := w.ahead(start)
		for i := start; i < start+groups*(size+1)-1; i++ {
			switch place := (i - start) % (size + 1); {
			case i >= lim:
				if !final {
					w.wait(start)
				}
				return
			case place == size && w.b[i] != sep || place < size && !is(w.b[i], isHex):
				return
			}
		}
		end := start + groups*(size+1) - 1
		// Eight pairs are another kind of identifier (EUI-64), and longer runs
		// certificates' fingerprints.
		switch edge, known := w.onEdge(end, lim, final); {
		case !known || end+1 == lim && !final && w.b[end] == sep:
			w.wait(start)
		case edge && !macGoesOn(w.b, end, lim, sep):
			w.hit(e, start, end, 0.85)
		}
	},
	// The anchor is the first separator, behind two digits or four.
	open: hexOpen,
}

// macGoesOn tells whether one more group follows.
func macGoesOn(b []byte, end, lim int, sep byte) bool {
	return end+1 < lim && b[end] == sep && sep != '.' && is(b[end+1], isHex)
}
