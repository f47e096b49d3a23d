package config

import (
	"reflect"
)

// NeedRestart lists the keys that differ between the two configurations and
// that are read only when Sluice starts: listeners, their TLS and limits, the
// store. All else is taken over by a reload. The fields' tag reload:"restart"
// says which they are.
func NeedRestart(old, loaded *Config) []string {
	return restartKeys(reflect.ValueOf(old).Elem(), reflect.ValueOf(loaded).Elem(), "")
}

func restartKeys(old, loaded reflect.Value, path string) []string {
	var keys []string
	for i := range old.NumField() {
		field := old.Type().Field(i)
		name, _ := fieldName(field)
		if name == "" {
			continue
		}
		a, b := old.Field(i), loaded.Field(i)
		switch {
		case field.Tag.Get("reload") == "restart":
			if !reflect.DeepEqual(a.Interface(), b.Interface()) {
				keys = append(keys, join(path, name))
			}
		case a.Kind() == reflect.Struct:
			keys = append(keys, restartKeys(a, b, join(path, name))...)
		}
	}
	return keys
}
