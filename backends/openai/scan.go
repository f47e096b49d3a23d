package openai

import (
	"bytes"
	"math"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds how deep the scanner goes; what is deeper is left to encoding/json.
const maxDepth = 8

// scanner reads the chunks that nearly all tokens come in, at a fraction of what
// encoding/json costs. It gives up at anything unusual, which encoding/json
// then reads from the start: FuzzScan holds that what it accepts, encoding/json
// accepts too and reads alike.
type scanner struct {
	data  []byte
	i     int
	depth int
	text  []byte // a string with escapes
}

// scan reads one chunk into a, or tells that it gave up; a is of no use then.
func scan(data []byte, a *answer) bool {
	s := scanner{data: data}
	chosen := false
	ok := s.object(func(key []byte) bool {
		switch string(key) {
		case "choices":
			first := !chosen
			chosen = true
			return first && s.array(func() bool {
				a.Choices = append(a.Choices, choice{})
				return s.choice(&a.Choices[len(a.Choices)-1])
			})
		case "usage":
			if s.null() {
				return true
			}
			if a.Usage != nil {
				return false
			}
			a.Usage = new(usage)
			return s.usage(a.Usage)
		case "timings", "error":
			return s.null()
		}
		return s.other(key, "choices", "usage", "timings", "error")
	})
	s.blank()
	return ok && s.i == len(data)
}

func (s *scanner) choice(c *choice) bool {
	var seen [4]bool
	once := func(n int) bool { first := !seen[n]; seen[n] = true; return first }
	return s.object(func(key []byte) bool {
		switch string(key) {
		case "index":
			return once(0) && s.int(&c.Index)
		case "text":
			return once(1) && s.string(&c.Text)
		case "delta":
			c.Delta = new(message)
			return once(2) && s.message(c.Delta)
		case "finish_reason":
			if !once(3) || s.null() {
				return true
			}
			c.Finish = new(string)
			return s.string(c.Finish)
		case "logprobs", "message", "token_ids":
			return s.null()
		}
		return s.other(key, "index", "text", "delta", "finish_reason", "logprobs", "message", "token_ids")
	})
}

func (s *scanner) message(m *message) bool {
	seen := false
	return s.object(func(key []byte) bool {
		if string(key) == "content" && !seen {
			seen = true
			return s.null() || s.string(&m.Content)
		}
		return s.other(key, "content")
	})
}

func (s *scanner) usage(u *usage) bool {
	var seen [2]bool
	return s.object(func(key []byte) bool {
		switch string(key) {
		case "prompt_tokens":
			first := !seen[0]
			seen[0] = true
			return first && s.int(&u.Prompt)
		case "completion_tokens":
			first := !seen[1]
			seen[1] = true
			return first && s.int(&u.Completion)
		}
		return s.other(key, "prompt_tokens", "completion_tokens")
	})
}

// other skips the value of a key that means nothing, unless encoding/json would
// take it for one of the known ones: it does not mind their case.
func (s *scanner) other(key []byte, known ...string) bool {
	for _, k := range known {
		if len(k) == len(key) && strings.EqualFold(k, string(key)) || !isASCII(key) {
			return false
		}
	}
	return s.skip()
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func (s *scanner) blank() {
	for s.i < len(s.data) {
		switch s.data[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// is takes the next character if it is c.
func (s *scanner) is(c byte) bool {
	s.blank()
	if s.i < len(s.data) && s.data[s.i] == c {
		s.i++
		return true
	}
	return false
}

// object reads an object, whose values value reads.
func (s *scanner) object(value func(key []byte) bool) bool {
	return s.list('{', '}', func() bool {
		key, plain := s.quoted()
		return plain && s.is(':') && value(key)
	})
}

// array reads an array, whose elements element reads.
func (s *scanner) array(element func() bool) bool { return s.list('[', ']', element) }

func (s *scanner) list(begin, end byte, element func() bool) bool {
	if !s.is(begin) || s.depth == maxDepth {
		return false
	}
	if s.is(end) {
		return true
	}
	s.depth++
	for element() {
		switch {
		case s.is(','):
		case s.is(end):
			s.depth--
			return true
		default:
			return false
		}
	}
	return false
}

// skip reads any value.
func (s *scanner) skip() bool {
	s.blank()
	if s.i == len(s.data) {
		return false
	}
	switch s.data[s.i] {
	case '"':
		_, plain := s.quoted()
		return plain
	case '{':
		return s.object(func([]byte) bool { return s.skip() })
	case '[':
		return s.array(s.skip)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	var n int
	return s.int(&n)
}

func (s *scanner) word(w string) bool {
	if bytes.HasPrefix(s.data[s.i:], []byte(w)) {
		s.i += len(w)
		return true
	}
	return false
}

func (s *scanner) null() bool {
	s.blank()
	return s.word("null")
}

// int reads a whole number that is not negative and not large.
func (s *scanner) int(n *int) bool {
	s.blank()
	start := s.i
	for ; s.i < len(s.data) && '0' <= s.data[s.i] && s.data[s.i] <= '9'; s.i++ {
		if *n = *n*10 + int(s.data[s.i]-'0'); *n > math.MaxInt32 {
			return false
		}
	}
	digits := s.i - start
	if digits == 0 || digits > 1 && s.data[start] == '0' {
		return false
	}
	return s.i == len(s.data) || !bytes.ContainsRune([]byte(".eE+-"), rune(s.data[s.i]))
}

// string reads a string with the escapes of one character.
func (s *scanner) string(into *string) bool {
	text, plain := s.quoted()
	if plain {
		*into = string(text)
		return true
	}
	if text == nil {
		return false
	}
	// quoted stopped at the first escape.
	s.text = append(s.text[:0], text...)
	for s.i < len(s.data) {
		c := s.data[s.i]
		switch {
		case c == '"':
			s.i++
			*into = string(s.text)
			return utf8.Valid(s.text)
		case c < ' ':
			return false
		case c != '\\':
			s.text = append(s.text, c)
			s.i++
			continue
		case s.i+1 == len(s.data):
			return false
		}
		e := strings.IndexByte(`"\/bfnrt`, s.data[s.i+1])
		if e < 0 {
			return false
		}
		s.text = append(s.text, "\"\\/\b\f\n\r\t"[e])
		s.i += 2
	}
	return false
}

// quoted reads a string without escapes. At an escape it stops, and returns what
// is before it; anything else that is unusual returns nil.
func (s *scanner) quoted() (text []byte, plain bool) {
	if !s.is('"') {
		return nil, false
	}
	ascii := true
	for start := s.i; s.i < len(s.data); s.i++ {
		switch c := s.data[s.i]; {
		case c == '"':
			text = s.data[start:s.i]
			s.i++
			return text, ascii || utf8.Valid(text)
		case c == '\\':
			return s.data[start:s.i:s.i], false
		case c < ' ':
			return nil, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false
}
