package masking

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/masking/detect"
	"github.com/sluice-gateway/sluice/wire"
)

// tensors checks which outputs a rule is about.
func (c *checker) tensors(path string, r *Rule, out *rule) {
	out.tensors = r.Tensors
	if len(r.Tensors) == 0 {
		out.tensors = []string{"*"}
	}
	for i, name := range r.Tensors {
		c.pattern(fmt.Sprintf("%s.tensors[%d]", path, i), name)
	}
	for i, name := range r.Datatypes {
		at := fmt.Sprintf("%s.datatypes[%d]", path, i)
		t := wire.ParseDatatype(name)
		switch {
		case t == wire.UnknownType:
			c.add(at, "unknown datatype %q%s", name, access.DidYouMean(name, datatypeNames()))
		case len(r.Entities) > 0 && t != wire.Bytes:
			c.add(at, "entities are looked for in text, which is of datatype BYTES, not %s", name)
		default:
			out.types |= 1 << t
		}
	}
	out.first, out.last = 0, maxIndex
	if r.Index != "" {
		var ok bool
		if out.first, out.last, ok = parseIndex(r.Index); !ok {
			c.add(path+".index", `must be an element's number, or a range of them: "0", "2-5", "3-"`)
		}
	}
}

func datatypeNames() (names []string) {
	for t := wire.Bool; t <= wire.Bytes; t++ {
		names = append(names, t.String())
	}
	return names
}

// parseIndex reads "0", "2-5" or "3-".
func parseIndex(text string) (first, last int, ok bool) {
	from, to, ranged := strings.Cut(text, "-")
	first, err := strconv.Atoi(from)
	if err != nil || first < 0 {
		return 0, 0, false
	}
	switch {
	case !ranged:
		return first, first, true
	case to == "":
		return first, maxIndex, true
	}
	last, err = strconv.Atoi(to)
	return first, last, err == nil && last >= first
}

// textRule checks what a rule with entities says.
func (c *checker) textRule(path string, r *Rule, out *rule) {
	if out.action.whole() {
		c.add(path+".action", "%s is for whole tensors of numbers; a rule with entities redacts them, or writes partial, hash, tokenize, replace, drop or block", out.action.kind)
	}
	c.holdBack(path+".hold_back", r, out)
	for i, e := range r.Entities {
		c.entity(fmt.Sprintf("%s.entities[%d]", path, i), e, r, out)
	}
	for i, text := range r.JSONPath {
		p, err := parsePath(text)
		if err != nil {
			c.add(fmt.Sprintf("%s.json_path[%d]", path, i), "%v", err)
			continue
		}
		out.paths = append(out.paths, p)
	}
	if len(r.JSONPath) > 0 && r.Format != JSON {
		c.add(path+".json_path", "values of a JSON text need format: json")
	}
	if r.OnError != "" && !slices.ContainsFunc(out.entities, func(e entity) bool { return e.analyzer != nil }) {
		c.add(path+".on_error", "has no meaning here: none of the entities asks an analyzer service")
	}
}

func (c *checker) holdBack(path string, r *Rule, out *rule) {
	out.holdBack = r.HoldBack
	switch {
	case r.HoldBack == 0:
		out.holdBack = detect.DefaultHoldBack
	case r.HoldBack < detect.MinHoldBack || r.HoldBack > detect.MaxHoldBack:
		c.add(path, "must be from %d to %d bytes", detect.MinHoldBack, detect.MaxHoldBack)
	}
}

// entity checks one entity of a rule.
func (c *checker) entity(path string, e Entity, r *Rule, out *rule) {
	d := c.lookup(e.Name)
	if d == nil {
		c.add(path, "unknown entity %q%s", e.Name, access.DidYouMean(e.Name, c.entities()))
		return
	}
	if d.detector == nil && d.paths == nil && d.analyzer == nil {
		return // a problem already
	}
	one := entity{name: e.Name, detector: d.detector, context: d.context, paths: d.paths, analyzer: d.analyzer}
	if slices.ContainsFunc(out.entities, func(o entity) bool { return o.name == one.name }) {
		c.add(path, "entity %s is named twice", e.Name)
		return
	}
	if e.Threshold != nil {
		if one.threshold = *e.Threshold; one.threshold <= 0 || one.threshold > 1 {
			c.add(path+".threshold", "must be over 0 and at most 1")
		}
		if d.paths != nil {
			c.add(path+".threshold", "has no meaning here: %s is what stands at a place, without a score", e.Name)
		}
	}
	if d.paths != nil && r.Format != JSON {
		c.add(path, "%s is a value of a JSON text, so the rule needs format: json", e.Name)
	}
	if d.analyzer != nil && r.Format == JSON {
		c.add(path, "%s asks an analyzer service, which reads text: with format: json it would be asked about every string by itself; take it into a rule without", e.Name)
	}
	out.entities = append(out.entities, one)
}

// wholeRule checks what a rule without entities says: it is about tensors of
// numbers as a whole, or takes outputs out.
func (c *checker) wholeRule(path string, r *Rule, out *rule) {
	if !out.action.whole() && out.action.kind != actionDrop {
		c.add(path+".entities", "entities is empty; name what to look for, as in [EMAIL, CARD]. Only drop, zero, round, top_k, clip and noise work on whole tensors")
		return
	}
	out.whole = true
	for i, name := range out.tensors {
		if !literal(name) {
			c.add(fmt.Sprintf("%s.tensors[%d]", path, i), "a rule about whole tensors names each one: a pattern covers text only")
			break
		}
	}
	for _, key := range []struct {
		name string
		set  bool
	}{
		{"mode", r.Mode != ""},
		{"format", r.Format != ""},
		{"json_path", len(r.JSONPath) > 0},
		{"index", r.Index != ""},
		{"hold_back", r.HoldBack != 0},
		{"observe", r.Observe},
		{"on_error", r.OnError != ""},
	} {
		if key.set {
			c.add(path+"."+key.name, "has no meaning in a rule without entities")
		}
	}
	for t := wire.Bool; t <= wire.Bytes; t++ {
		if out.types&(1<<t) != 0 && !out.action.takes(t) {
			c.add(path+".datatypes", "%s does not work on %s", out.action.kind, t)
		}
	}
}

// sets compiles what the rule looks for by itself, so that what can't be found
// is a problem now.
func (c *checker) sets(path string, r *Rule, out *rule) {
	if out.whole {
		return
	}
	if _, err := compileSet([]*rule{out}); err != nil {
		at := path + ".entities"
		if r.HoldBack != 0 {
			at = path + ".hold_back"
		}
		c.add(at, "%v", err)
	}
}

// maxIndex is the last element of all.
const maxIndex = math.MaxInt
