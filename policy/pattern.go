package policy

import (
	"slices"
	"strings"
)

// pattern is a model pattern taken apart at its stars: head*mid*mid*tail. It
// matches bytes, not characters, so a name that is not UTF-8 is no special
// case.
type pattern struct {
	text       string // normalised: runs of stars are one star
	head, tail string
	mids       []string
	exact      bool // no star at all: text is the name
}

// parsePattern takes any text: there is no wrong pattern.
func parsePattern(text string) pattern {
	parts := strings.Split(text, "*")
	if len(parts) == 1 {
		return pattern{text: text, exact: true}
	}
	p := pattern{head: parts[0], tail: parts[len(parts)-1]}
	for _, part := range parts[1 : len(parts)-1] {
		if part != "" {
			p.mids = append(p.mids, part)
		}
	}
	p.text = text
	if strings.Contains(text, "**") {
		p.text = strings.Join(slices.Concat([]string{p.head}, p.mids, []string{p.tail}), "*")
	}
	return p
}

// isStar tells whether a pattern is "*", also where it is written "**".
func isStar(text string) bool { return text != "" && strings.Trim(text, "*") == "" }

// isStar tells whether p matches every name, the empty one included.
func (p *pattern) isStar() bool { return p.text == "*" }

// match takes time linear in the name: the first place that a middle part
// fits is as good as any later one, so nothing is tried twice.
func (p *pattern) match(model string) bool {
	if p.exact {
		return model == p.text
	}
	if len(model) < len(p.head)+len(p.tail) || !strings.HasPrefix(model, p.head) || !strings.HasSuffix(model, p.tail) {
		return false
	}
	rest := model[len(p.head) : len(model)-len(p.tail)]
	for _, mid := range p.mids {
		i := strings.Index(rest, mid)
		if i < 0 {
			return false
		}
		rest = rest[i+len(mid):]
	}
	return true
}

// place says which part of a pattern is its key in an index.
type place int

const (
	atHead place = iota
	atTail
	atMid
)

// anchor returns the longest part of p, which is the one that the fewest names
// hold, as the key of its place. A tail is reversed: it is read from the end.
func (p *pattern) anchor() (place, string) {
	mid := ""
	for _, m := range p.mids {
		if len(m) > len(mid) {
			mid = m
		}
	}
	switch {
	case len(p.head) >= len(p.tail) && len(p.head) >= len(mid):
		return atHead, p.head
	case len(p.tail) >= len(mid):
		tail := []byte(p.tail)
		slices.Reverse(tail)
		return atTail, string(tail)
	}
	return atMid, mid
}

// lone tells whether p has no literal part but the one that it is anchored by.
func (p *pattern) lone() bool {
	parts := len(p.mids)
	if p.head != "" {
		parts++
	}
	if p.tail != "" {
		parts++
	}
	return parts == 1
}
