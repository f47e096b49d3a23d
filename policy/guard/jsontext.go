package guard

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Errors of [parseJSON]; they say nothing of what the text holds.
var (
	errJSON       = errors.New("it is not JSON")
	errJSONTwice  = errors.New("a key is there twice")
	errJSONDepth  = errors.New("it is nested too deeply")
	errJSONValues = errors.New("it has too many values")
	errJSONNumber = errors.New("a number is out of range")
)

// parseJSON reads the one value of a text: integers as int64, other numbers as
// float64. What another parser could read in another way is an error: a key that
// is there twice, something behind the value.
func parseJSON(text string) (any, error) {
	p := jsonParser{d: json.NewDecoder(strings.NewReader(text)), left: maxValues}
	p.d.UseNumber()
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := p.d.Token(); !errors.Is(err, io.EOF) {
		return nil, errJSON
	}
	return v, nil
}

type jsonParser struct {
	d    *json.Decoder
	left int
}

func (p *jsonParser) value(depth int) (any, error) {
	if p.left--; p.left < 0 {
		return nil, errJSONValues
	}
	if depth > maxDepth {
		return nil, errJSONDepth
	}
	t, err := p.d.Token()
	if err != nil {
		return nil, errJSON
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return p.object(depth)
		}
		return p.array(depth)
	case json.Number:
		return number(string(t))
	}
	return t, nil
}

func (p *jsonParser) object(depth int) (any, error) {
	m := make(map[string]any)
	for p.d.More() {
		t, err := p.d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return nil, errJSON
		}
		if _, twice := m[key]; twice {
			return nil, errJSONTwice
		}
		if m[key], err = p.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return m, p.end()
}

func (p *jsonParser) array(depth int) (any, error) {
	list := []any{}
	for p.d.More() {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, p.end()
}

func (p *jsonParser) end() error {
	if _, err := p.d.Token(); err != nil {
		return errJSON
	}
	return nil
}

// number reads an integer that fits as one, so that it compares exactly.
func number(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, errJSONNumber
	}
	return f, nil
}

// undone are the readings of a text whose JSON escapes are undone, once for each
// time that it may be JSON inside of JSON. It need not be JSON: what another
// parser takes for some would be read by it.
func undone(text string) (all []string) {
	const most = 3
	for range most {
		if strings.IndexByte(text, '\\') < 0 {
			return all
		}
		next := undoEscapes(text)
		if next == text {
			return all
		}
		text = next
		all = append(all, text)
	}
	return all
}

var escapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f', '/': '/', '\\': '\\', '"': '"'}

func undoEscapes(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		if c, known := escapes[text[i+1]]; known {
			b.WriteByte(c)
			i++
			continue
		}
		n := unicodeEscape(text[i:])
		if n == 0 {
			b.WriteByte(text[i])
			continue
		}
		var s string
		if json.Unmarshal([]byte(`"`+text[i:i+n]+`"`), &s) == nil {
			b.WriteString(s)
		}
		i += n - 1
	}
	return b.String()
}

// unicodeEscape is how long the \uXXXX is that text begins with, a pair of
// surrogates together; 0 where there is none.
func unicodeEscape(text string) int {
	const one = len(`\u0000`)
	is := func(s string) bool {
		if len(s) < one || s[0] != '\\' || s[1] != 'u' {
			return false
		}
		_, err := strconv.ParseUint(s[2:one], 16, 16)
		return err == nil
	}
	switch {
	case !is(text):
		return 0
	case (text[2] == 'd' || text[2] == 'D') && is(text[one:]):
		return 2 * one
	}
	return one
}
