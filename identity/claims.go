package identity

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"
)

// Claims is a JSON object of a token: names are case-sensitive and unique (RFC
// 7519 section 4), numbers are [json.Number].
type Claims map[string]any

// maxDepth bounds how deep the objects and lists of a token may be nested.
const maxDepth = 16

// lastDate is the last second of the year 9999, beyond which times cannot be
// written down.
const lastDate = 253402300799

var (
	errBase64 = errors.New("it is not base64url")
	errUTF8   = errors.New("it is not UTF-8")
	errDepth  = errors.New("it is nested too deeply")
	errJSON   = errors.New("it is not one JSON object with unique names")
	errDate   = errors.New("a time in it is not a number of seconds")
	errText   = errors.New("a claim that should be text is not")
)

// parseClaims reads one JSON object. encoding/json would take names in any
// case and the last of two equal ones; the parser of go-jose takes neither.
func parseClaims(text []byte) (Claims, error) {
	if !utf8.Valid(text) {
		return nil, errUTF8
	}
	if depth(text) > maxDepth {
		return nil, errDepth
	}
	var claims Claims
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.SetNumberType(json.UnmarshalJSONNumber)
	if err := decoder.Decode(&claims); err != nil || claims == nil {
		return nil, errJSON
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errJSON
	}
	return claims, nil
}

// depth counts brackets outside of strings. Text that is not JSON gives a
// number as good as any other: the parser refuses it.
func depth(text []byte) int {
	deepest, now, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// Text returns a claim that is a string; "" where there is none. Anything else
// under that name is an error, and so is text that could be read in two ways:
// with control characters, or with U+FFFD, which the parser puts for half a
// surrogate, so that two names would become one.
func (c Claims) Text(name string) (string, error) {
	value, ok := c[name]
	if !ok || value == nil {
		return "", nil
	}
	text, ok := value.(string)
	if !ok || !plain(text) {
		return "", errText
	}
	return text, nil
}

// Date returns a claim that is a NumericDate (RFC 7519 section 2: seconds
// since 1970, fractions allowed); the zero Time where there is none.
func (c Claims) Date(name string) (time.Time, error) {
	value, ok := c[name]
	if !ok || value == nil {
		return time.Time{}, nil
	}
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, errDate
	}
	seconds, err := strconv.ParseFloat(string(number), 64)
	if err != nil || seconds < 0 || seconds > lastDate {
		return time.Time{}, errDate
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)), nil
}

// Texts returns a claim that is a string or a list of strings, as "aud" is;
// path leads to it through nested objects. A claim that is not there is an
// empty list; anything else is an error.
func (c Claims) Texts(path ...string) ([]string, error) {
	switch value := c.at(path).(type) {
	case nil:
		return nil, nil
	case string:
		if !plain(value) {
			return nil, errText
		}
		return []string{value}, nil
	case []any:
		texts := make([]string, 0, len(value))
		for _, one := range value {
			text, ok := one.(string)
			if !ok || !plain(text) {
				return nil, errText
			}
			texts = append(texts, text)
		}
		return texts, nil
	default:
		return nil, errText
	}
}

// at follows path; nil where it ends early.
func (c Claims) at(path []string) any {
	var value any = map[string]any(c)
	for _, name := range path {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[name]
	}
	return value
}

func plain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) })
}
