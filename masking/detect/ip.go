package detect

import "net/netip"

const maxIP = 45 // ABCD:ABCD:ABCD:ABCD:ABCD:ABCD:192.168.158.190

// ip finds IP addresses of both kinds. Four numbers of a version are none
// where a word says so.
var ip = &Detector{
	info:      Info{"IP", "IP addresses, v4 and v6", maxIP, 0.5},
	inDigits:  true,
	minDigits: 4, minGroups: 4,
	anchors: ":",
	lag:     4,
	raise:   []string{"ip", "ips", "ipv4", "ipv6", "addr*", "host*", "server*", "client*", "from", "inet*", "ping", "dns", "gateway", "subnet"},
	lower:   []string{"version*", "ver", "v", "release*", "build", "firmware", "sdk", "driver*", "section", "chapter", "asn"},
	verify: func(w *window, e *entry, at int) {
		if w.b[at] == ':' {
			ipv6(w, e, at)
		} else {
			ipv4(w, e, at)
		}
	},
	open: hexOpen,
}

// ipv4 looks for an address whose first number is at b[at]. Four numbers with
// dots, of which none is over 255, and no fifth.
func ipv4(w *window, e *entry, at int) {
	if w.wordBefore(at) || w.joined(at) {
		return
	}
	c := w.cluster(at, at)
	n := min(c.n, 4)
	for i := range n {
		g := &c.groups[i]
		if g.len() > 3 || c.number(i) > 255 || i > 0 && (g.sep != '.' || g.width != 1) {
			return
		}
	}
	if c.cut && c.n <= 4 || c.open && c.width == 1 && (c.n <= 4 && c.sep == '.' || c.n == 4 && c.sep == '-') {
		w.wait(at)
	}
	if n < 4 || w.goesOn(c, 3) {
		return
	}
	base := float32(0.6)
	if w.before(at) == '/' && at >= 2 && is(w.before(at-1), isLetter) {
		// As in Chrome/120.0.0.0; in http://10.0.0.1 there is another slash.
		base = 0.3
	}
	w.hit(e, at, c.groups[3].end, w.contextScore(e, at, base))
}

// number is the value of group i, of nine digits at most.
func (c *cluster) number(i int) (v int) {
	g := &c.groups[i]
	for _, d := range c.value[g.before:][:min(g.len(), 9)] {
		v = v*10 + int(d)
	}
	return v
}

// ipv6 looks for an address whose first colon is b[at].
func ipv6(w *window, e *entry, at int) {
	start := at
	for start > w.floor && at-start < 4 && is(w.b[start-1], isHex) {
		start--
	}
	if w.wordBefore(start) || w.before(start) == ':' {
		return
	}
	lim, final := w.ahead(start)
	end, digits, colons, dots := start, 0, 0, 0
	for ; end < lim && end-start <= maxIP; end++ {
		switch c := w.b[end]; {
		case is(c, isDigit):
			digits++
		case c == ':':
			colons++
		case c == '.':
			dots++
		case !is(c, isHex):
			goto ended
		}
	}
ended:
	if end-start > maxIP {
		return
	}
	if end == lim && !final {
		w.wait(start)
		return
	}
	if end < lim && is(w.b[end], isWord) {
		return
	}
	for end > start+1 && (w.b[end-1] == '.' || w.b[end-1] == ':' && w.b[end-2] != ':') {
		end-- // of a sentence
	}
	if colons < 2 || end-start < 3 {
		return
	}
	// Only what may be an address gets here, so that the string is rarely made.
	addr, err := netip.ParseAddr(string(w.b[start:end]))
	if err != nil || !addr.Is6() {
		return
	}
	base := float32(0.75)
	if digits == 0 || at-start < 4 && colons < 4 && dots == 0 {
		// a::b in code, and [::2]: few groups, short ones, or words of a to f.
		base = 0.3
	}
	w.hit(e, start, end, w.contextScore(e, start, base))
}

// hexOpen is where a group of at most four hexadecimal digits at the end
// begins.
func hexOpen(w *window, _ *entry) int {
	n := len(w.b)
	start := n
	for start > w.floor && n-start < 4 && is(w.b[start-1], isHex) {
		start--
	}
	if w.wordBefore(start) {
		return n
	}
	return start
}
