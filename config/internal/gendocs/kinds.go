package main

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// named are the types whose Go kind says nothing to an operator.
var named = map[reflect.Type]string{
	reflect.TypeFor[time.Duration](): "duration",
	reflect.TypeFor[netip.Prefix]():  "network",
	reflect.TypeFor[access.Size]():   "size",
	reflect.TypeFor[access.File]():   "path",
	reflect.TypeFor[access.Secret](): "secret reference",
}

var texts = reflect.TypeFor[encoding.TextUnmarshaler]()

// kindOf names what a key takes.
func kindOf(t reflect.Type) string {
	if name, ok := named[t]; ok {
		return name
	}
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Struct:
		return "mapping"
	case reflect.Map:
		return "mapping of names to " + plural(kindOf(t.Elem()))
	case reflect.Slice:
		if reflect.PointerTo(t).Implements(texts) {
			return kindOf(t.Elem()) + " or list"
		}
		return "list of " + plural(kindOf(t.Elem()))
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "string"
	case reflect.Interface:
		return "anything"
	}
	return "number"
}

func plural(word string) string {
	if list, ok := strings.CutPrefix(word, "list"); ok {
		return "lists" + list
	}
	return word + "s"
}

// defaultOf writes a default as the file would; "" is none.
func defaultOf(v reflect.Value) string {
	if v.Kind() == reflect.Bool {
		return fmt.Sprintf("`%v`", v.Bool())
	}
	if v.IsZero() || v.Kind() == reflect.Struct || v.Kind() == reflect.Map {
		return ""
	}
	if v.Kind() == reflect.Slice {
		items := make([]string, v.Len())
		for i := range items {
			items[i] = fmt.Sprint(v.Index(i))
		}
		return "`[" + strings.Join(items, ", ") + "]`"
	}
	if span, ok := v.Interface().(time.Duration); ok {
		return "`" + shortDuration(span) + "`"
	}
	return fmt.Sprintf("`%v`", v.Interface())
}

// shortDuration is "5m" where time.Duration prints "5m0s".
func shortDuration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
