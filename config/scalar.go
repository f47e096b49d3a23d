package config

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
)

// scalar decodes n into a string, bool or number. What was written is not
// repeated in the problem: it may be a secret in the wrong place.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		d.problem(path, "must be %s, not %s", wanted(v), kindOf(n))
		return
	}
	if v.Type() == durationType {
		span, err := parseDuration(n.Value)
		if err != nil {
			d.problem(path, "%v", err)
		}
		v.SetInt(int64(span))
		return
	}
	if !fits(n, v) {
		d.problem(path, "must be %s, not %s", wanted(v), kindOf(n))
		return
	}
	// The library's own decoding knows YAML's ways to write a number.
	if err := n.Decode(v.Addr().Interface()); err != nil {
		d.problem(path, "is out of range")
	}
	if v.CanFloat() && (math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0)) {
		d.problem(path, "must be a finite number")
	}
}

// network takes a CIDR, or an address as the network of it alone.
func (d *decoder) network(n *yaml.Node, v reflect.Value, path string) {
	prefix, err := netip.ParsePrefix(n.Value)
	if addr, bare := netip.ParseAddr(n.Value); bare == nil {
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		d.problem(path, "must be a network such as 10.0.0.0/8 or an address")
		return
	}
	v.Set(reflect.ValueOf(prefix.Masked()))
}

// fits tells whether n's kind of scalar is v's.
func fits(n *yaml.Node, v reflect.Value) bool {
	switch tag := n.ShortTag(); {
	case v.Kind() == reflect.String:
		return tag == "!!str" || tag == "!!timestamp"
	case v.Kind() == reflect.Bool:
		return tag == "!!bool"
	case v.CanInt() || v.CanUint():
		return tag == "!!int"
	case v.CanFloat():
		return tag == "!!int" || tag == "!!float"
	}
	return false
}

// wanted names what v takes, for an operator.
func wanted(v reflect.Value) string {
	switch {
	case v.Type() == durationType:
		return "a duration such as 30s or 90d"
	case v.Kind() == reflect.String:
		return "a string"
	case v.Kind() == reflect.Bool:
		return "true or false"
	case v.CanInt() || v.CanUint():
		return "a whole number"
	case v.CanFloat():
		return "a number"
	}
	return "a value of another kind"
}

// kindOf names what n is, for an operator.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "a number (quote it where it is text)"
	case "!!bool":
		return "true or false (quote it where it is text)"
	case "!!null":
		return "nothing"
	}
	return "text"
}

// plainTag tells whether n has none but YAML's own tags; "!custom" and binary
// ones have no meaning here.
func plainTag(n *yaml.Node) bool {
	switch n.ShortTag() {
	case "!!map", "!!seq", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!merge":
		return true
	}
	return false
}

const day = 24 * time.Hour

// parseDuration is time.ParseDuration with days before the rest, as in "90d"
// or "1d12h". Nothing here lasts less than no time.
func parseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("must be a duration such as 30s, 1h30m or 90d")
	var days time.Duration
	if before, after, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseUint(before, 10, 32)
		if err != nil {
			return 0, bad
		}
		if n > uint64(math.MaxInt64/day) {
			return 0, fmt.Errorf("is longer than a duration can be")
		}
		days, text = time.Duration(n)*day, after
		if text == "" {
			return days, nil
		}
	}
	rest, err := time.ParseDuration(text)
	if err != nil {
		return 0, bad
	}
	if rest < 0 {
		return 0, fmt.Errorf("must not be negative")
	}
	if days > math.MaxInt64-rest {
		return 0, fmt.Errorf("is longer than a duration can be")
	}
	return days + rest, nil
}

// free decodes a value that nobody has a type for: maps, lists, strings,
// numbers, bools, nil.
func (d *decoder) free(n *yaml.Node, path string) reflect.Value {
	switch n.Kind {
	case yaml.MappingNode:
		var m map[string]any
		d.mapping(n, reflect.ValueOf(&m).Elem(), path)
		return reflect.ValueOf(&m).Elem()
	case yaml.SequenceNode:
		var l []any
		d.list(n, reflect.ValueOf(&l).Elem(), path)
		return reflect.ValueOf(&l).Elem()
	}
	var x any
	if err := n.Decode(&x); err != nil {
		d.problem(path, "is out of range")
	}
	return reflect.ValueOf(&x).Elem()
}
