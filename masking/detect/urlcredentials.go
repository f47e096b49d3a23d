package detect

const (
	maxUserinfo = 200
	minURLToken = 16
)

// urlCredentials finds user and password in URLs, and what is long enough for
// a token where there is only one of them (RFC 3986, 3.2.1). What may be
// allowed in them in practice counts, also further @.
var urlCredentials = &Detector{
	info:    Info{"URL_CREDENTIALS", "user and password in URLs", maxUserinfo, 0.5},
	anchors: ":",
	behind:  func(_, before byte) bool { return is(before, isWord) },
	lead:    len("://"),
	verify: func(w *window, e *entry, at int) {
		start := at + len("://")
		for i := at + 1; i < start; i++ {
			if i == len(w.b) {
				w.waitFor(at)
				return
			}
			if w.b[i] != '/' {
				return
			}
		}
		if start < w.floor || at <= w.back(start) || !is(w.b[at-1], isWord) {
			return
		}
		// What is behind the slashes is what is looked for, and the host that
		// comes after it stays: the match may begin behind its anchor.
		lim, final := w.ahead(start)
		lim, final = bound(lim, final, start+maxUserinfo+1)
		last, colon := -1, false
		i := start
		for ; i < lim && inUserinfo(w.b[i]); i++ {
			switch w.b[i] {
			case '@':
				last = i
			case ':':
				colon = colon || last < 0
			}
		}
		switch {
		case i == lim && !final:
			w.wait(start)
		case last > start && (colon || last-start >= minURLToken):
			w.hit(e, start, last, 0.95)
		}
	},
}

// bound lowers what may be seen to most.
func bound(lim int, final bool, most int) (int, bool) {
	if lim >= most {
		return most, true
	}
	return lim, final
}

// inUserinfo leaves in what RFC 3986 would have escaped and people do not.
func inUserinfo(b byte) bool {
	switch b {
	case '/', '?', '#', ' ', '\t', '\n', '\r', '"', '<', '>', '\\', '`', symBreak:
		return false
	}
	return true
}
