package masking

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxPaths bounds the JSON paths of a policy: places are bits of a uint64.
const maxPaths = 64

// jsonPath is a place in a JSON text, from its root. It covers what stands
// there and all within.
type jsonPath struct {
	steps []step
	bit   uint // its number among a policy's paths
}

// step is a name, an index, or any of both.
type step struct {
	any   bool
	named bool
	name  string
	index int
}

var errPath = errors.New("must be a JSONPath such as $.messages[*].content: names, ['names'], [0], [*] and .* are understood")

// parsePath reads the part of RFC 9535 that a single pass can follow: child
// segments of one name, one index from the front, or the wildcard. It has no
// descendants (..), slices, unions, filters or indexes from the end.
func parsePath(text string) (p jsonPath, err error) {
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return p, errPath
	}
	for rest != "" {
		var s step
		if s, rest, ok = parseStep(rest); !ok {
			return p, fmt.Errorf("%w; %q is not", errPath, text)
		}
		p.steps = append(p.steps, s)
	}
	return p, nil
}

func parseStep(text string) (s step, rest string, ok bool) {
	if rest, ok = strings.CutPrefix(text, "."); ok {
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			end = len(rest)
		}
		name := rest[:end]
		if name == "*" {
			return step{any: true}, rest[end:], true
		}
		return step{named: true, name: name}, rest[end:], shorthand(name)
	}
	if rest, ok = strings.CutPrefix(text, "["); !ok {
		return s, text, false
	}
	if rest != "" && (rest[0] == '\'' || rest[0] == '"') {
		name, after, closed := strings.Cut(rest[1:], rest[:1]+"]")
		return step{named: true, name: name}, after, closed && !strings.ContainsAny(name, `\'"`)
	}
	inner, rest, ok := strings.Cut(rest, "]")
	if inner == "*" {
		return step{any: true}, rest, ok
	}
	n, err := strconv.Atoi(inner)
	return step{index: n}, rest, ok && err == nil && n >= 0 && inner[0] != '+' && inner[0] != '-'
}

// shorthand tells whether a name may stand behind a dot: RFC 9535, 2.5.1.1.
func shorthand(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 0x80 || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// below narrows a set of paths, which lead to or cover a container at depth, to
// those of one of its members: under a key, or at an index of an array.
func below(paths []jsonPath, set uint64, depth int, key []byte, index int) uint64 {
	for i := range paths {
		p := &paths[i]
		if set&(1<<p.bit) == 0 || depth >= len(p.steps) {
			continue
		}
		s := &p.steps[depth]
		fits := s.any || s.named && key != nil && string(key) == s.name || !s.named && key == nil && s.index == index
		if !fits {
			set &^= 1 << p.bit
		}
	}
	return set
}

// covering is the part of a set of paths, which lead to or cover what is at
// depth, that covers it.
func covering(paths []jsonPath, set uint64, depth int) (covers uint64) {
	for i := range paths {
		if len(paths[i].steps) <= depth {
			covers |= set & (1 << paths[i].bit)
		}
	}
	return covers
}
