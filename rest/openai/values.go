package openai

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// value checks a field's value, which is valid JSON and not null, and says what it
// must be where it is not that.
type value func(v json.RawMessage) (must string)

// number takes a finite number within bounds.
func number(least, most float64) value {
	return func(v json.RawMessage) string {
		f, err := strconv.ParseFloat(string(v), 64)
		if v[0] == '"' || err != nil || f < least || f > most {
			return "a number" + between(least, most)
		}
		return ""
	}
}

// integer takes a whole number within bounds.
func integer(least, most int64) value {
	return func(v json.RawMessage) string {
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil || n < least || n > most {
			return "a whole number" + between(float64(least), float64(most))
		}
		return ""
	}
}

// between says which bounds there are; what is beyond int32 is no bound to speak of.
func between(least, most float64) string {
	switch {
	case least > math.MinInt32 && most < math.MaxInt32:
		return fmt.Sprintf(" from %v to %v", least, most)
	case least > math.MinInt32:
		return fmt.Sprintf(" of at least %v", least)
	}
	return ""
}

func boolean(v json.RawMessage) string {
	if s := string(v); s != "true" && s != "false" {
		return "true or false"
	}
	return ""
}

func isText(v json.RawMessage) string {
	if v[0] != '"' {
		return "text"
	}
	return ""
}

// texts takes one text or a list of at most so many, none of them empty.
func texts(most int) value {
	return func(v json.RawMessage) string {
		list, ok := textsOf(v)
		for _, s := range list {
			ok = ok && s != ""
		}
		if !ok || len(list) > most {
			return fmt.Sprintf("text or a list of at most %d texts, none of them empty", most)
		}
		return ""
	}
}

// textsOf reads one text or a list of them.
func textsOf(v json.RawMessage) ([]string, bool) {
	if v[0] == '"' {
		return []string{textOf(v)}, true
	}
	var list []*string
	if v[0] != '[' || json.Unmarshal(v, &list) != nil {
		return nil, false
	}
	all := make([]string, 0, len(list))
	for _, s := range list {
		if s == nil {
			return nil, false
		}
		all = append(all, *s)
	}
	return all, true
}

func integers(v json.RawMessage) string {
	if _, ok := integersOf(v); !ok {
		return "a list of whole numbers"
	}
	return ""
}

func integersOf(v json.RawMessage) ([]int64, bool) {
	var list []*int64
	if v[0] != '[' || json.Unmarshal(v, &list) != nil {
		return nil, false
	}
	all := make([]int64, 0, len(list))
	for _, n := range list {
		if n == nil {
			return nil, false
		}
		all = append(all, *n)
	}
	return all, true
}

// biases takes an object of numbers by token id.
func biases(v json.RawMessage) string {
	fields, err := object("logit_bias", v)
	for id, bias := range fields {
		if _, wrong := strconv.ParseUint(id, 10, 31); wrong != nil || number(-100, 100)(bias) != "" {
			return "an object of numbers from -100 to 100 by token id"
		}
	}
	if err != nil {
		return "an object of numbers by token id"
	}
	return ""
}

// textOf is the text of a value that is one.
func textOf(v json.RawMessage) (s string) {
	_ = json.Unmarshal(v, &s) // v is valid
	return s
}

func intOf(v json.RawMessage) int64 {
	n, _ := strconv.ParseInt(string(v), 10, 64) //nolint:errcheck // has been checked
	return n
}

func isTrue(v json.RawMessage) bool { return string(v) == "true" }
