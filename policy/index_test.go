package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy"
)

// TestVerbClasses makes whoever adds a verb say what its rules are.
func TestVerbClasses(t *testing.T) {
	type class struct{ inStar, whole bool }
	want := map[access.Verb]class{
		access.Infer: {true, false}, access.Load: {true, false}, access.LoadOverride: {true, false}, access.Unload: {true, false},
		access.Describe: {true, false}, access.List: {true, false}, access.Stats: {true, false},
		access.Trace: {true, false}, access.TraceRead: {true, false}, access.Log: {true, true}, access.LogRead: {true, true},
		access.Shm: {false, true}, access.Approve: {}, access.AuditRead: {}, access.PayloadRead: {},
		access.Reveal: {}, access.BreakGlass: {}, access.Admin: {false, true},
	}
	for _, v := range access.Verbs() {
		w, known := want[v]
		if !known {
			t.Errorf("verb %s is in no class of this test", v)
		}
		if inStar, whole := policy.Classes(v); (class{inStar, whole}) != w {
			t.Errorf("%s: got in star %v and about no model %v, want %+v", v, inStar, whole, w)
		}
	}
	if len(want) != len(access.Verbs()) {
		t.Errorf("the test has %d verbs, there are %d", len(want), len(access.Verbs()))
	}
}

func TestAnchor(t *testing.T) {
	cases := []struct {
		pattern          string
		text, where, key string
		lone             bool
	}{
		{"abc*", "abc*", "head", "abc", true},
		{"*abc", "*abc", "tail", "cba", true},
		{"*abc*", "*abc*", "mid", "abc", true},
		{"**abc***", "*abc*", "mid", "abc", true},
		{"a*bc", "a*bc", "tail", "cb", false},
		{"ab*c", "ab*c", "head", "ab", false},
		{"ab*cd", "ab*cd", "head", "ab", false},
		{"ab*cde*fg", "ab*cde*fg", "mid", "cde", false},
		{"a**b****c", "a*b*c", "head", "a", false},
		{"*a*bb*", "*a*bb*", "mid", "bb", false},
		{"*é", "*é", "tail", "\xa9\xc3", true},
	}
	for _, c := range cases {
		t.Run(c.pattern, func(t *testing.T) {
			text, where, key, lone := policy.Anchor(c.pattern)
			if text != c.text || where != c.where || key != c.key || lone != c.lone {
				t.Errorf("got %q %s %q %v, want %q %s %q %v", text, where, key, lone, c.text, c.where, c.key, c.lone)
			}
		})
	}
}

// keysFor makes keys of few letters, or, for tables of children, of many.
func keysFor(m maker, letters string, n, most int) []string {
	var keys []string
	for range n {
		if k := m.word(letters, most); k != "" {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

var everyByte = func() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}()

// TestAutomatonFindsEveryKey compares with a search for each key by itself.
func TestAutomatonFindsEveryKey(t *testing.T) {
	for seed := range uint64(200) {
		m := maker{rand.New(rand.NewPCG(seed, 3))}
		letters := []string{"ab", "abcdefghijklm", everyByte}[seed%3]
		keys, text := keysFor(m, letters, 1+m.IntN(60), 5), m.word(letters, 300)
		var want []string
		for end := 1; end <= len(text); end++ {
			for start := range end { // the longest first, as the chain goes
				if slices.Contains(keys, text[start:end]) {
					want = append(want, text[start:end])
				}
			}
		}
		if got := policy.Occurring(keys, text); !slices.Equal(got, want) {
			t.Fatalf("seed %d: keys %q in %q:\ngot  %q\nwant %q", seed, keys, text, got, want)
		}
	}
}

func TestTrieFindsEveryBeginning(t *testing.T) {
	for seed := range uint64(300) {
		m := maker{rand.New(rand.NewPCG(seed, 4))}
		letters := []string{"ab", "abcdefghijklm", everyByte}[seed%3]
		keys, text := keysFor(m, letters, m.IntN(60), 6), m.word(letters, 10)
		if len(keys) > 0 && m.IntN(2) == 0 {
			text = keys[m.IntN(len(keys))] + text
		}
		var want []string
		for end := 1; end <= len(text); end++ {
			if slices.Contains(keys, text[:end]) {
				want = append(want, text[:end])
			}
		}
		for _, cut := range []bool{false, true} {
			if got := policy.Beginning(keys, text, cut); !slices.Equal(got, want) {
				t.Fatalf("seed %d, cut %v: keys %q in %q:\ngot  %q\nwant %q", seed, cut, keys, text, got, want)
			}
		}
	}
}

func TestBitset(t *testing.T) {
	cases := []struct {
		name             string
		size             int
		numbers          []uint32
		lo, hi           uint32
		members, between []uint32
	}{
		{"empty", 0, nil, 0, 0, nil, nil},
		{"nothing in it", 200, nil, 0, 200, nil, nil},
		{"borders of words", 200, []uint32{199, 0, 63, 64, 127, 128}, 0, 200, []uint32{0, 63, 64, 127, 128, 199}, []uint32{0, 63, 64, 127, 128, 199}},
		{"from the middle of a word", 128, []uint32{3, 5, 70}, 4, 128, []uint32{3, 5, 70}, []uint32{5, 70}},
		{"end is left out", 128, []uint32{3, 5, 70}, 0, 70, []uint32{3, 5, 70}, []uint32{3, 5}},
		{"end in an empty word", 256, []uint32{200}, 0, 130, []uint32{200}, nil},
		{"size is a whole word", 64, []uint32{63}, 0, 64, []uint32{63}, []uint32{63}},
		{"nothing between", 64, []uint32{1}, 5, 5, []uint32{1}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			members, between := policy.Sets(c.size, c.numbers, c.lo, c.hi)
			if !slices.Equal(members, c.members) || !slices.Equal(between, c.between) {
				t.Errorf("got %v and %v, want %v and %v", members, between, c.members, c.between)
			}
		})
	}
}

// TestMoreMiddlesThanTheStackHolds takes the way with memory of its own.
func TestMoreMiddlesThanTheStackHolds(t *testing.T) {
	var patterns []string
	for i := range policy.FewKeys + 100 {
		patterns = append(patterns, fmt.Sprintf("*<%05d>*", i))
	}
	p := compile(t, roles(map[string][]policy.Entry{"r": {allow(patterns, "infer")}, "s": {allow(on("*<00007>*b*"), "load")}}))
	last := fmt.Sprintf("<%05d>", policy.FewKeys+99)
	checkDecision(t, p.Decide(member("r"), access.Infer, "a"+last+"b"), "")
	checkDecision(t, p.Decide(member("r"), access.Infer, "a<99999>b"), access.ReasonNoRole)
	checkDecision(t, p.Decide(member("r", "s"), access.Load, last+"<00007>-"), access.ReasonNoRole)
	checkDecision(t, p.Decide(member("r", "s"), access.Load, last+"<00007>-<00007>b"), "")
}

// TestManyRolesOnAPattern has more roles on a pattern than a list is made for,
// and callers with fewer and with more roles than the set has words.
func TestManyRolesOnAPattern(t *testing.T) {
	entries := map[string][]policy.Entry{}
	for i := range 300 {
		name := fmt.Sprintf("r%03d", i)
		entries[name] = []policy.Entry{allow(on("prod-*"), "infer"), allow(on("other"), "unload")}
		if i == 250 {
			entries[name] = append(entries[name], allow(on("prod-*"), "load"))
		}
	}
	p := compile(t, roles(entries))
	var most []string
	for i := range 240 {
		most = append(most, fmt.Sprintf("r%03d", i))
	}
	cases := []struct {
		name   string
		groups []string
		verb   access.Verb
		rule   string
	}{
		{"one role", []string{"r299"}, access.Infer, "role r299"},
		{"one role, another verb", []string{"r299"}, access.Load, "no role allows it"},
		{"the role that has the verb", []string{"r299", "r250"}, access.Load, "role r250"},
		{"most roles", most, access.Infer, "role r000"},
		{"most roles, another verb", most, access.Load, "no role allows it"},
		{"most roles and the one", append(slices.Clone(most), "r250"), access.Load, "role r250"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d := p.Decide(member(c.groups...), c.verb, "prod-x"); d.Rule != c.rule {
				t.Errorf("got %+v, want %q", d, c.rule)
			}
		})
	}
	if names, all := p.RolesFor(access.Infer, "prod-x", 2); all != 300 || strings.Join(names, " ") != "r000 r001" {
		t.Errorf("got %v of %d", names, all)
	}
}
