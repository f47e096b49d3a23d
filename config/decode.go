package config

import (
	"encoding"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gateway/sluice/access"
)

// Decode reads the YAML document data into into, a pointer to a struct, and
// reports everything that is wrong with it at once, under the name file. The
// positions are never nil.
//
// Fields are named by their yaml tags; ",inline" is understood. Every key has to be known,
// every value of the right kind, every mapping free of repeats; merge keys,
// tags and empty values are refused. A type with an UnmarshalText method takes
// scalars through it, and may be of any kind besides: a slice with that method
// takes a scalar or a list. A struct with SetDefaults gets it called before its
// keys are read, wherever it stands. Durations are written "90d", "1h30m".
func Decode(file string, data []byte, into any) (*Positions, Problems) {
	d := &decoder{
		Positions: Positions{
			file: file, at: make(map[string]place), wrong: make(map[string]bool), spoilt: make(map[string]bool),
		},
		active: make(map[*yaml.Node]bool),
	}
	if _, ok := into.(*Config); ok {
		d.main = true
	}
	v := reflect.ValueOf(into).Elem()
	setDefaults(v)
	root, problem := parse(file, data)
	if problem != nil {
		return &d.Positions, Problems{*problem}
	}
	d.at[""] = place{root.Line, root.Column}
	d.value(root, v, "")
	return &d.Positions, d.problems.sorted()
}

type decoder struct {
	Positions
	main     bool // it is the configuration file itself
	problems Problems
	values   int
	depth    int
	active   map[*yaml.Node]bool // aliases being expanded
}

// problem notes one, at path's own position.
func (d *decoder) problem(path, format string, args ...any) {
	line, column := d.Locate(path)
	d.blame(path)
	d.problems = append(d.problems, Problem{
		File: d.file, Line: line, Column: column, Path: path, Message: fmt.Sprintf(format, args...),
	})
}

// value decodes n into v, which stands at path.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	if d.values++; d.values >= maxValues {
		if d.values == maxValues {
			d.problem("", "holds more than %d values, aliases expanded", maxValues)
		}
		return
	}
	if d.depth++; d.depth > maxDepth {
		d.problem(path, "is nested too deeply")
	} else {
		d.node(n, v, path)
	}
	d.depth--
}

func (d *decoder) node(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.AliasNode {
		d.alias(n, v, path)
		return
	}
	if !plainTag(n) {
		d.problem(path, "tags such as %.20q are not supported", n.Tag)
		return
	}
	if n.ShortTag() == "!!null" && v.Kind() != reflect.Interface {
		d.problem(path, "has no value; give it one or take the key out")
		return
	}
	if n.Kind == yaml.ScalarNode && d.text(n, v, path) {
		return
	}
	d.kind(n, v, path)
}

// alias decodes what n refers to in its place, but not inside itself.
func (d *decoder) alias(n *yaml.Node, v reflect.Value, path string) {
	if d.active[n.Alias] {
		d.problem(path, "alias %q refers to what it stands in", n.Value)
		return
	}
	d.active[n.Alias] = true
	d.value(n.Alias, v, path)
	delete(d.active, n.Alias)
}

// text hands a scalar to v's own UnmarshalText. Its error is the only text: the
// value itself may be a secret in the wrong place.
func (d *decoder) text(n *yaml.Node, v reflect.Value, path string) bool {
	if v.Kind() == reflect.Pointer {
		return false
	}
	if v.Type() == prefixType {
		d.network(n, v, path)
		return true
	}
	u, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	if !ok {
		return false
	}
	if err := u.UnmarshalText([]byte(n.Value)); err != nil {
		d.problem(path, "%v", err)
	}
	return true
}

func (d *decoder) kind(n *yaml.Node, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		setDefaults(p.Elem())
		d.value(n, p.Elem(), path)
		v.Set(p)
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	case reflect.Interface:
		v.Set(d.free(n, path))
	default:
		d.scalar(n, v, path)
	}
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) {
	fields := make(map[string]reflect.Value)
	fieldsOf(v, fields)
	d.entries(n, path, func(key string, value *yaml.Node, at string) {
		if text, known := d.refused(withoutIndices(at)); known {
			d.problem(at, "%s", text)
			return
		}
		field, known := fields[key]
		if !known {
			d.unknown(key, at, path, fields)
			return
		}
		d.value(value, field, at)
	})
}

// refused tells why a key is not taken where it stands, path without indices.
func (d *decoder) refused(path string) (text string, known bool) {
	if !d.main {
		return "", false
	}
	if text, known = unbuilt[path]; !known {
		text, known = misplaced[path]
	}
	return text, known
}

// unknown complains about a key, and marks the key that was probably meant:
// that it is missing is no news.
func (d *decoder) unknown(key, at, path string, fields map[string]reflect.Value) {
	names := sortedKeys(fields)
	d.problem(at, "unknown key%s", access.DidYouMean(key, names))
	if meant := access.Suggest(key, names); meant != "" {
		d.blame(join(path, meant))
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.problem(path, "must be a list, not %s; write [ … ]", kindOf(n))
		return
	}
	// Elements are appended, not made at once: the list's length is the
	// file's, an element's size is ours.
	list := reflect.MakeSlice(v.Type(), 0, min(len(n.Content), 64))
	for i, item := range n.Content {
		at := indexed(path, i)
		d.at[at] = place{item.Line, item.Column}
		elem := reflect.New(v.Type().Elem()).Elem()
		setDefaults(elem)
		d.value(item, elem, at)
		list = reflect.Append(list, elem)
	}
	v.Set(list)
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	m := reflect.MakeMap(v.Type())
	d.entries(n, path, func(key string, value *yaml.Node, at string) {
		elem := reflect.New(v.Type().Elem()).Elem()
		setDefaults(elem)
		d.value(value, elem, at)
		m.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), elem)
	})
	v.Set(m)
}

// entries goes through a mapping's keys, less those that are refused.
func (d *decoder) entries(n *yaml.Node, path string, each func(key string, value *yaml.Node, at string)) {
	if n.Kind != yaml.MappingNode {
		d.problem(path, "must be a mapping of keys to values, not %s", kindOf(n))
		return
	}
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		at := join(path, key.Value)
		if first, repeated := seen[key.Value]; repeated && key.Kind == yaml.ScalarNode {
			d.keyProblem(key, at, fmt.Sprintf("is there twice, first on line %d", first))
			continue
		}
		if text := refusedKey(key); text != "" {
			d.keyProblem(key, path, text)
			continue
		}
		seen[key.Value] = key.Line
		d.at[at] = place{key.Line, key.Column}
		each(key.Value, n.Content[i+1], at)
	}
}

// keyProblem is a problem at a key that has no place of its own in the
// document.
func (d *decoder) keyProblem(key *yaml.Node, path, text string) {
	d.problems = append(d.problems, Problem{File: d.file, Line: key.Line, Column: key.Column, Path: path, Message: text})
}

func refusedKey(key *yaml.Node) string {
	switch {
	case key.ShortTag() == "!!merge":
		return "merge keys (<<) are not supported; write the values out"
	case key.Kind != yaml.ScalarNode:
		return "a key must be a plain word, not " + kindOf(key)
	case key.ShortTag() != "!!str":
		return fmt.Sprintf("key %.40q must be a string; quote it", key.Value)
	}
	return ""
}
