package detect

import (
	"errors"
	"regexp/syntax"
	"slices"
	"sort"
	"unicode/utf8"
)

// maxStates bounds what an expression may cost.
const maxStates = 4096

// machine is a regular expression as a deterministic automaton, which begins
// where it is asked and not anywhere behind: its time is linear in the longest
// match, whatever the expression.
type machine struct {
	bounds  []rune      // where ranges of characters begin that are alike
	classes []int       // the class of each range
	sample  []rune      // a character of each class; the class behind is the text's end
	ascii   [0x80]uint8 // class of each
	other   uint8       // class of symOther
	states  []machineState
	begin   [2]int // state to begin with, without and with a word before
}

// machineState is where the machine stands between two characters.
type machineState struct {
	next    []int  // by class of the next character; dead: no match goes on
	match   []bool // by class of the next character: a match ends before it
	settled bool   // no match goes on, whatever follows, and whether one ends here does not depend on it
}

const dead = 0

// builder makes the states of a machine.
type builder struct {
	prog  *syntax.Prog
	m     *machine
	known map[string]int
	todo  []subset
}

// subset are the instructions that a state stands for.
type subset struct {
	pcs  []uint32
	word bool // the character before is a word's
}

func newMachine(prog *syntax.Prog) (*machine, error) {
	m := &machine{bounds: classBounds(prog)}
	m.classify(prog)
	if len(m.sample) > 0xFF {
		return nil, errors.New("has too many kinds of characters")
	}
	for r := range m.ascii {
		m.ascii[r] = uint8(m.classOf(rune(r)))
	}
	m.other = uint8(m.classOf(foldedOther))
	b := &builder{prog: prog, m: m, known: map[string]int{}}
	b.state(subset{}) // dead
	// Whether a word stands before decides on \b at the beginning.
	m.begin[0] = b.state(subset{[]uint32{uint32(prog.Start)}, false})
	m.begin[1] = b.state(subset{[]uint32{uint32(prog.Start)}, true})
	for i := 0; i < len(b.todo); i++ {
		if len(b.todo) > maxStates {
			return nil, errors.New("is too complex: make its repetitions shorter")
		}
		b.fill(i)
	}
	return m, nil
}

// classBounds are the characters where the expression, or what is a word,
// begins to tell characters apart.
func classBounds(prog *syntax.Prog) []rune {
	bounds := []rune{0, '\n', '\n' + 1, '0', '9' + 1, 'A', 'Z' + 1, '_', '_' + 1, 'a', 'z' + 1, 0x80, foldedOther, foldedOther + 1}
	add := func(lo, hi rune) { bounds = append(bounds, lo, hi+1) }
	for i := range prog.Inst {
		inst := &prog.Inst[i]
		if inst.Op != syntax.InstRune && inst.Op != syntax.InstRune1 {
			continue
		}
		if len(inst.Rune) == 1 {
			for _, r := range foldings(inst) {
				add(r, r)
			}
		}
		for k := 0; k+1 < len(inst.Rune); k += 2 {
			add(inst.Rune[k], inst.Rune[k+1])
		}
	}
	slices.Sort(bounds)
	return slices.Compact(bounds)
}

// classify joins ranges whose characters all instructions take alike.
func (m *machine) classify(prog *syntax.Prog) {
	known := map[string]int{}
	for _, r := range m.bounds {
		// What \b tells apart, what is not ASCII, and what stands for all symbols
		// must not share a class with others.
		key := []byte{0, 0}
		if wordRune(r) {
			key[0] = 1
		}
		if r == foldedOther {
			key[1] = 1
		} else if r < 0x80 {
			key[1] = 2
		}
		for i := range prog.Inst {
			inst := &prog.Inst[i]
			consumes := inst.Op == syntax.InstRune || inst.Op == syntax.InstRune1 || inst.Op == syntax.InstRuneAny || inst.Op == syntax.InstRuneAnyNotNL
			if consumes && inst.MatchRune(r) {
				key = append(key, byte(i), byte(i>>8), byte(i>>16))
			}
		}
		class, ok := known[string(key)]
		if !ok {
			class = len(m.sample)
			known[string(key)] = class
			m.sample = append(m.sample, r)
		}
		m.classes = append(m.classes, class)
	}
}

// classOf is the class of a character.
func (m *machine) classOf(r rune) int {
	return m.classes[sort.Search(len(m.bounds), func(i int) bool { return m.bounds[i] > r })-1]
}

// state is the number of the state that a subset stands for.
func (b *builder) state(s subset) int {
	// All dead states are one, whatever was read last.
	if len(s.pcs) == 0 {
		s.word = false
	}
	key := make([]byte, 0, len(s.pcs)*4+1)
	for _, pc := range s.pcs {
		key = append(key, byte(pc), byte(pc>>8), byte(pc>>16), byte(pc>>24))
	}
	if s.word {
		key = append(key, 1)
	}
	n, ok := b.known[string(key)]
	if !ok {
		n = len(b.todo)
		b.known[string(key)] = n
		b.todo = append(b.todo, s)
	}
	return n
}

// fill makes state i: what follows each class of characters.
func (b *builder) fill(i int) {
	s, classes := b.todo[i], len(b.m.sample)
	st := machineState{next: make([]int, classes+1), match: make([]bool, classes+1), settled: true}
	for c := range classes + 1 {
		r := rune(-1)
		if c < classes {
			r = b.m.sample[c]
		}
		to := b.step(s, r)
		st.match[c] = to.match
		// Behind the text's end nothing goes on.
		if r >= 0 {
			st.next[c] = b.state(to.subset)
		}
		if st.next[c] != dead || st.match[c] != st.match[0] {
			st.settled = false
		}
	}
	b.m.states = append(b.m.states, st)
}

// stepped is where a character leads.
type stepped struct {
	subset
	match bool
}

// step follows character r, or -1 at the text's end, from all instructions.
func (b *builder) step(s subset, r rune) (to stepped) {
	to.word = wordRune(r)
	flags := syntax.EmptyNoWordBoundary
	if s.word != to.word {
		flags = syntax.EmptyWordBoundary
	}
	seen := make(map[uint32]bool)
	stack := slices.Clone(s.pcs)
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[pc] {
			continue
		}
		seen[pc] = true
		switch inst := &b.prog.Inst[pc]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, inst.Out, inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, inst.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^flags == 0 {
				stack = append(stack, inst.Out)
			}
		case syntax.InstMatch:
			to.match = true
		case syntax.InstFail:
		default:
			if r >= 0 && inst.MatchRune(r) && !slices.Contains(to.pcs, inst.Out) {
				to.pcs = append(to.pcs, inst.Out)
			}
		}
	}
	slices.Sort(to.pcs)
	return to
}

// wordRune: letters of all scripts are a word's, other than in RE2, whose \b
// knows ASCII only and would let a word in another script be cut.
func wordRune(r rune) bool {
	return r == '_' || r >= 0 && r < 0x80 && is(byte(r), isWord) || r >= 0x80 && r != foldedOther
}

// empty tells whether a match may have no characters.
func (m *machine) empty() bool {
	return slices.Contains(m.states[m.begin[0]].match, true) || slices.Contains(m.states[m.begin[1]].match, true)
}

// anchors are the bytes that a match may begin with.
func (m *machine) anchors() string {
	var set []byte
	for c := range m.sample {
		if m.states[m.begin[0]].next[c] == dead && m.states[m.begin[1]].next[c] == dead {
			continue
		}
		for b := range m.ascii {
			if int(m.ascii[b]) == c {
				set = append(set, byte(b))
			}
		}
		if c == int(m.other) {
			set = append(set, symOther)
		} else if m.sample[c] >= 0x80 && !slices.Contains(set, 0xC3) {
			// Which letter it is, its first byte does not say for sure.
			for b := 0xC2; b < 0xF5; b++ {
				set = append(set, byte(b))
			}
		}
	}
	return string(set)
}

// verify looks for the longest match that begins at b[at].
func (m *machine) verify(w *window, e *entry, at int) {
	if at < w.floor {
		return
	}
	state := m.begin[0]
	if before := w.before(at); is(before, isWord) || before == '_' {
		state = m.begin[1]
	}
	lim, final := w.ahead(at)
	end := -1
	for i := at; ; {
		st := &m.states[state]
		if i == lim {
			// A state from which nothing goes on, and whose match does not hang on
			// the next character, holds nothing.
			if !final && !st.settled {
				w.wait(at)
			}
			if st.match[len(m.sample)] {
				end = i
			}
			break
		}
		class, n := m.read(w.b, i, lim)
		if st.match[class] {
			end = i
		}
		if state = st.next[class]; state == dead {
			break
		}
		i += n
	}
	if end > at {
		w.hit(e, at, end, w.contextScore(e, at, e.score))
	}
}

// read is the class of the character b[i] and how many bytes it has.
func (m *machine) read(b []byte, i, lim int) (class, n int) {
	switch c := b[i]; {
	case c < 0x80:
		return int(m.ascii[c]), 1
	case c == symOther:
		return int(m.other), 1
	case c == symBreak:
		return len(m.sample), 1
	}
	r, n := utf8.DecodeRune(b[i:lim])
	return m.classOf(r), n
}
