package policy_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy"
)

// reference decides from the documents as written, in the plainest way there
// is: the compiled engine has to agree with it.
type reference []policy.Document

// verdict is true for every deny and every allow that speaks about the call.
func (docs reference) verdict(who *access.Principal, verb access.Verb, model string) (allowed, denied bool) {
	for _, d := range docs {
		for role, entries := range d.Roles {
			if !docs.holds(who, role) {
				continue
			}
			for _, e := range entries {
				switch {
				case !speaks(e, verb, model):
				case e.Deny:
					denied = true
				default:
					allowed = true
				}
			}
		}
	}
	return allowed, denied
}

func (docs reference) reason(who *access.Principal, verb access.Verb, model string) string {
	switch allowed, denied := docs.verdict(who, verb, model); {
	case denied:
		return access.ReasonDeniedByRole
	case allowed:
		return ""
	}
	return access.ReasonNoRole
}

func (docs reference) visible(who *access.Principal, model string) bool {
	if _, denied := docs.verdict(who, access.List, model); denied || model == "" {
		return false
	}
	for _, v := range access.Verbs() {
		if !aboutNone(v) && docs.reason(who, v, model) == "" {
			return true
		}
	}
	return false
}

func (docs reference) holds(who *access.Principal, role string) bool {
	for _, d := range docs {
		for _, b := range d.Bindings {
			if b.Role != role {
				continue
			}
			if slices.Contains(b.Subjects, who.Issuer+"#"+who.Subject) || slices.ContainsFunc(b.Groups, func(g string) bool { return slices.Contains(who.Groups, g) }) {
				return true
			}
		}
	}
	return false
}

func aboutNone(v access.Verb) bool {
	return v == access.Log || v == access.LogRead || v == access.Shm || v == access.Admin
}

func speaks(e policy.Entry, verb access.Verb, model string) bool {
	named := slices.Contains(e.Verbs, verb.String()) ||
		slices.Contains(e.Verbs, "*") && verb.InStar() ||
		e.Deny && verb == access.LoadOverride && slices.Contains(e.Verbs, "load")
	if !named {
		return false
	}
	star := slices.ContainsFunc(e.Models, func(m string) bool { return m != "" && strings.Trim(m, "*") == "" })
	switch {
	case aboutNone(verb):
		return star
	case model != "":
		return slices.ContainsFunc(e.Models, func(m string) bool { return asRegexp(m).MatchString(model) })
	case verb == access.List:
		return star || !e.Deny
	}
	return star || e.Deny
}

// asRegexp is a pattern in another's words. (?s) lets dots match newlines;
// \C, any byte, is not Go's, so names are compared in Latin-1.
func asRegexp(pattern string) *regexp.Regexp {
	parts := strings.Split(pattern, "*")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile(`(?s)\A` + strings.Join(parts, ".*") + `\z`)
}

// maker makes random policies over few letters, so that much matches.
type maker struct{ *rand.Rand }

func (m maker) word(letters string, most int) string {
	b := make([]byte, m.IntN(most+1))
	for i := range b {
		b[i] = letters[m.IntN(len(letters))]
	}
	return string(b)
}

func (m maker) some(most int, one func() string) []string {
	list := make([]string, 1+m.IntN(most))
	for i := range list {
		list[i] = one()
	}
	return list
}

func (m maker) group() string { return fmt.Sprintf("g%d", m.IntN(8)) }

func (m maker) pattern() string {
	if p := m.word("ab*", 6); p != "" {
		return p
	}
	return "*"
}

func (m maker) entry() policy.Entry {
	models := m.some(3, m.pattern)
	e := policy.Entry{Models: models, Deny: m.IntN(4) == 0}
	star := slices.ContainsFunc(models, func(p string) bool { return strings.Trim(p, "*") == "" })
	e.Verbs = m.some(3, func() string {
		v := access.Verbs()[m.IntN(access.NumVerbs-1)]
		if m.IntN(4) == 0 || aboutNone(v) && !star {
			return "*"
		}
		return v.String()
	})
	return e
}

func (m maker) documents() []policy.Document {
	docs := make([]policy.Document, 1+m.IntN(3))
	n := 1 + m.IntN(40) // more than a light pattern has, sometimes
	for i := range n {
		d := &docs[m.IntN(len(docs))]
		if d.Roles == nil {
			d.Roles = map[string][]policy.Entry{}
		}
		var entries []policy.Entry
		for range 1 + m.IntN(3) {
			entries = append(entries, m.entry())
		}
		d.Roles[fmt.Sprintf("r%d", i)] = entries
	}
	for range 1 + m.IntN(30) {
		d := &docs[m.IntN(len(docs))]
		b := policy.Binding{Role: fmt.Sprintf("r%d", m.IntN(n))}
		if m.IntN(3) > 0 {
			b.Groups = m.some(3, m.group)
		} else {
			b.Subjects = []string{"https://issuer#alice"}
		}
		d.Bindings = append(d.Bindings, b)
	}
	return docs
}

// shuffled is the same policy said in another order: files, entries, models,
// verbs, bindings and what is bound.
func (m maker) shuffled(docs []policy.Document) []policy.Document {
	var out []policy.Document
	for _, d := range docs {
		next := policy.Document{Roles: map[string][]policy.Entry{}, Bindings: shuffle(m, d.Bindings)}
		for role, entries := range d.Roles {
			entries = shuffle(m, entries)
			for i := range entries {
				entries[i].Models, entries[i].Verbs = shuffle(m, entries[i].Models), shuffle(m, entries[i].Verbs)
			}
			next.Roles[role] = entries
		}
		out = append(out, next)
	}
	return shuffle(m, out)
}

func shuffle[T any](m maker, list []T) []T {
	list = slices.Clone(list)
	m.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func (m maker) principal() *access.Principal {
	who := member()
	for range m.IntN(5) {
		who.Groups = append(who.Groups, m.group())
	}
	if m.IntN(2) == 0 {
		who.Subject = "bob"
	}
	return who
}

func compileAll(t testing.TB, docs []policy.Document) *policy.Policy {
	t.Helper()
	var files []policy.File
	for i, d := range docs {
		files = append(files, policy.File{Name: fmt.Sprintf("%d.yaml", i), Document: d})
	}
	p, problems := policy.Compile(files, policy.Options{})
	if len(problems) > 0 {
		t.Fatalf("unexpected problems: %v", problems)
	}
	return p
}

// TestRandomPolicies holds three properties over policies made at random: the
// compiled policy says what the plain reading says; order changes nothing,
// not even which rule is named; and what an explanation shows is what decided.
func TestRandomPolicies(t *testing.T) {
	for seed := range uint64(100) {
		checkRandom(t, seed)
	}
}

// FuzzPolicies is TestRandomPolicies for as long as one likes.
func FuzzPolicies(f *testing.F) {
	f.Fuzz(checkRandom)
}

func checkRandom(t *testing.T, seed uint64) {
	t.Helper()
	m := maker{rand.New(rand.NewPCG(seed, 1))}
	docs := m.documents()
	p, again := compileAll(t, docs), compileAll(t, m.shuffled(docs))
	for range 5 {
		who := m.principal()
		for range 8 {
			verb, model := access.Verb(m.IntN(access.NumVerbs-1)+1), m.word("ab", 8)
			got := p.Decide(who, verb, model)
			if want := reference(docs).reason(who, verb, model); got.Reason != want || got.Allowed != (want == "") {
				t.Fatalf("seed %d: %v, %s on %q: got %+v, want reason %q\n%+v", seed, who.Groups, verb, model, got, want, docs)
			}
			if other := again.Decide(who, verb, model); other != got {
				t.Fatalf("seed %d: %v, %s on %q: another order says %+v instead of %+v", seed, who.Groups, verb, model, other, got)
			}
			if got, want := p.Visible(who, model), reference(docs).visible(who, model); got != want {
				t.Fatalf("seed %d: %v sees %q: got %v, want %v\n%+v", seed, who.Groups, model, got, want, docs)
			}
			checkExplained(t, p, who, verb, model)
		}
	}
}

// checkExplained holds an explanation against the decision: it has a deny
// exactly where one denies, and marks one entry where a role decides.
func checkExplained(t *testing.T, p *policy.Policy, who *access.Principal, verb access.Verb, model string) {
	t.Helper()
	x, denies, allows, decides := p.Explain(who, verb, model), 0, 0, 0
	for _, e := range x.Entries {
		switch e.Effect {
		case "deny":
			denies++
		case "allow":
			allows++
		}
		if e.Decides {
			decides++
		}
	}
	d := p.Decide(who, verb, model)
	switch {
	case (d.Reason == access.ReasonDeniedByRole) != (denies > 0),
		d.Reason == access.ReasonNoRole && allows > 0,
		d.Allowed && allows == 0,
		(d.Reason == access.ReasonNoRole) != (decides == 0):
		t.Fatalf("%v, %s on %q: the decision is %+v, the explanation %+v", who.Groups, verb, model, d, x)
	}
}

func TestOneMoreDenyDenies(t *testing.T) {
	for seed := range uint64(200) {
		m := maker{rand.New(rand.NewPCG(seed, 2))}
		docs := m.documents()
		who, verb := m.principal(), access.Verb(m.IntN(access.NumVerbs-1)+1)
		docs = append(docs, policy.Document{
			Roles:    map[string][]policy.Entry{"last": {deny(on("*"), verb.String())}},
			Bindings: []policy.Binding{{Role: "last", Subjects: []string{who.ID()}}},
		})
		p := compileAll(t, m.shuffled(docs))
		for range 10 {
			model := m.word("ab", 8)
			if d := p.Decide(who, verb, model); d.Reason != access.ReasonDeniedByRole {
				t.Fatalf("seed %d: %s on %q: got %+v", seed, verb, model, d)
			}
		}
	}
}

func FuzzMatch(f *testing.F) {
	for _, seed := range [][2]string{
		{"*", ""},
		{"a*b", "ab"},
		{"a*b*c", "a\nb\xffc"},
		{"*aa*aa*", "aaaa"},
		{"*a", "aa"},
		{"**", "x"},
		{"ab*ba", "aba"},
		{"é*", "é"},
		{"*\xa9", "é"},
		{"a", "b"},
		{"[a]*?", "[a]?"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if pattern == "" || len(pattern) > 100 || name == "" {
			return
		}
		want := asRegexp(latin1(pattern)).MatchString(latin1(name))
		if got := policy.Match(pattern, name); got != want {
			t.Errorf("%q on %q: got %v, want %v", pattern, name, got, want)
		}
		p := compile(t, roles(map[string][]policy.Entry{"r": {allow(on(pattern), "infer"), allow(on("unrelated*", "*zz"), "load")}}))
		if got := p.Decide(member("r"), access.Infer, name).Allowed; got != want {
			t.Errorf("index: %q on %q: got %v, want %v", pattern, name, got, want)
		}
	})
}

// latin1 makes each byte a character, so that a regular expression, which
// knows characters only, sees bytes.
func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
