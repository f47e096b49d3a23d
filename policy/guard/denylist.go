package guard

import (
	"fmt"
	"math"
	"regexp"
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// listed tells whether a request has anything that the guard's deny list names.
func (g *guard) listed(r *reading) (bool, error) {
	d := g.DenyList
	for _, check := range []struct {
		set bool
		has func(*reading) (bool, error)
	}{
		{d.MaxBytes > 0, g.tooLong},
		{d.MaxBatch > 0, g.tooMany},
		{len(d.Override) > 0, g.pushes},
		{d.MaxTokens > 0, g.tooManyTokens},
		{d.Parameters != nil, g.hasParameter},
		{d.Text != nil, g.hasText},
	} {
		if !check.set {
			continue
		}
		if has, err := check.has(r); has || err != nil {
			return has, err
		}
	}
	return false, nil
}

// tooLong counts shared memory too: else it would be the way around the limit.
func (g *guard) tooLong(r *reading) (bool, error) {
	all, err := r.tensors()
	n := int64(r.r.Size)
	for _, i := range all {
		if i.shared {
			size := i.bytes()
			if n > math.MaxInt64-size {
				return true, err
			}
			n += size
		}
	}
	return n > int64(g.DenyList.MaxBytes), err
}

func (g *guard) tooMany(r *reading) (bool, error) {
	n, err := r.batch()
	return n > g.DenyList.MaxBatch, err
}

func (g *guard) pushes(r *reading) (bool, error) {
	o, err := r.pushed()
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(o.keys, func(key string) bool { return matchAny(g.DenyList.Override, key) }), nil
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return access.Match(p, name) })
}

// hasText looks at each text of the inputs that the list is about, and at what
// its JSON escapes mean. Inputs of numbers have no text.
func (g *guard) hasText(r *reading) (bool, error) {
	all, err := r.tensors()
	if err != nil {
		return false, err
	}
	for _, i := range all {
		if !matchAny(g.textInputs, i.name) {
			continue
		}
		if t := i.tensor.Type(); t != wire.Bytes && t != wire.UnknownType {
			if err := r.onlyNumbers(i); err != nil {
				return false, err
			}
			continue
		}
		texts, err := r.texts(i)
		if err != nil {
			return false, err
		}
		for _, text := range texts {
			if has, err := r.matches(g.patterns, text); has || err != nil {
				return has, err
			}
		}
	}
	return false, nil
}

// matches tries expressions on a text, and on what its JSON escapes mean. The time
// that takes is the expressions' times the text's, so the two together are bounded.
func (r *reading) matches(all []*regexp.Regexp, text string) (bool, error) {
	for _, s := range append(undone(text), text) {
		if r.work -= len(all) * len(s); r.work < 0 {
			return false, fail("the request has too much text for so many expressions")
		}
		for _, p := range all {
			if p.MatchString(s) {
				return true, nil
			}
		}
	}
	return false, nil
}

// onlyNumbers refuses an input of numbers that some server might read as text.
func (r *reading) onlyNumbers(i *input) error {
	if !i.shared && !i.hasRaw && !i.tensor.Contents().OnlyFor(i.datatype) {
		return fail("input %s has contents of another datatype than its own", access.Quote(i.name))
	}
	return r.declared(i, "", "np", "pd")
}

// hasParameter looks at the parameters of the request, of its inputs and its
// outputs, and at sampling parameters that are sent as text.
func (g *guard) hasParameter(r *reading) (bool, error) {
	own, err := r.params()
	if err != nil {
		return false, err
	}
	if has, err := g.names(r, own); has || err != nil || r.r.Infer == nil {
		return has, err
	}
	all, err := r.tensors()
	if err != nil {
		return false, err
	}
	for _, i := range all {
		of, err := i.parameters.get(func() (map[string]any, error) {
			of := make(map[string]any)
			return of, r.addParameters(of, i.tensor.Parameters())
		})
		if err != nil {
			return false, err
		}
		if has, err := g.names(r, of); has || err != nil {
			return has, err
		}
	}
	asked, err := r.outputParameters()
	if err != nil {
		return false, err
	}
	for _, of := range asked {
		if has, err := g.names(r, of); has || err != nil {
			return has, err
		}
	}
	sampling, err := r.samples()
	if err != nil {
		return false, err
	}
	return g.names(r, sampling)
}

// names tells whether a parameter has a name or a value that the list has.
func (g *guard) names(r *reading, all map[string]any) (bool, error) {
	for name, v := range all {
		if matchAny(g.DenyList.Parameters.Names, name) {
			return true, nil
		}
		if has, err := g.valued(r, v); has || err != nil {
			return has, err
		}
	}
	return false, nil
}

// valued looks at a value, and at all values inside of it.
func (g *guard) valued(r *reading, v any) (has bool, err error) {
	switch v := v.(type) {
	case nil:
		return false, nil
	case string:
		return r.matches(g.values, v)
	case []string:
		for _, inner := range v {
			if has, err = r.matches(g.values, inner); has || err != nil {
				return has, err
			}
		}
		return false, nil
	case []any:
		for _, inner := range v {
			if has, err = g.valued(r, inner); has || err != nil {
				return has, err
			}
		}
		return false, nil
	case map[string]any:
		for key, inner := range v {
			if has, err = r.matches(g.values, key); has || err != nil {
				return has, err
			}
			if has, err = g.valued(r, inner); has || err != nil {
				return has, err
			}
		}
		return false, nil
	}
	return r.matches(g.values, fmt.Sprint(v))
}
