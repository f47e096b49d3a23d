package config

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// fieldsOf collects the fields of the struct v by the names that the file
// gives them. A field without a name there does not come from the file.
func fieldsOf(v reflect.Value, fields map[string]reflect.Value) {
	for i := range v.NumField() {
		name, inline := fieldName(v.Type().Field(i))
		switch {
		case inline:
			fieldsOf(v.Field(i), fields)
		case name != "":
			fields[name] = v.Field(i)
		}
	}
}

func fieldName(f reflect.StructField) (name string, inline bool) {
	name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if name == "-" || !f.IsExported() {
		return "", false
	}
	return name, slices.Contains(strings.Split(options, ","), "inline")
}

// walk calls visit with every value below v that stands in the file, parents
// first; a value that is not set (a nil pointer) is not there. visit tells
// whether to go on below.
func walk(v reflect.Value, path string, visit func(v reflect.Value, path string) bool) {
	if !visit(v, path) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			walk(v.Elem(), path, visit)
		}
	case reflect.Struct:
		fields := make(map[string]reflect.Value)
		fieldsOf(v, fields)
		for _, name := range sortedKeys(fields) {
			walk(fields[name], join(path, name), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), indexed(path, i), visit)
		}
	case reflect.Map:
		walkMap(v, path, visit)
	}
}

// walkMap visits copies of a map's values, since those have no address, and
// puts them back.
func walkMap(v reflect.Value, path string, visit func(v reflect.Value, path string) bool) {
	if v.Type().Key().Kind() != reflect.String {
		return
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		elem := reflect.New(v.Type().Elem()).Elem()
		elem.Set(v.MapIndex(key))
		walk(elem, join(path, key.String()), visit)
		v.SetMapIndex(key, elem)
	}
}

// SetDefaults gives the struct that into points to its defaults, as [Decode]
// does before it reads any key.
func SetDefaults(into any) { setDefaults(reflect.ValueOf(into).Elem()) }

type defaulter interface{ SetDefaults() }

// setDefaults gives v and the structs inside of it their defaults, the inner
// ones first: an outer SetDefaults may know better.
func setDefaults(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			setDefaults(v.Field(i))
		}
	}
	if d, ok := v.Addr().Interface().(defaulter); ok {
		d.SetDefaults()
	}
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

var index = regexp.MustCompile(`\[\d+\]`)

func withoutIndices(path string) string { return index.ReplaceAllString(path, "") }
