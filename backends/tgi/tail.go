package tgi

import (
	"strings"
	"unicode/utf8"
)

// tail keeps back the end of a text for as long as it could be the beginning of
// a stop string. TGI leaves the stop string in the text, vLLM takes it away, and a
// client that was written for one reads the other's text as the model's.
type tail struct {
	stops []string
	hold  int // bytes; what comes before cannot be a stop string's any more
	held  string
}

func newTail(parameters map[string]any) *tail {
	t := new(tail)
	if keep, _ := parameters["include_stop_str_in_output"].(bool); keep {
		return t
	}
	t.stops, _ = parameters["stop"].([]string)
	for _, stop := range t.stops {
		t.hold = max(t.hold, len(stop)-1)
	}
	return t
}

// add takes text in and returns what is certain.
func (t *tail) add(text string) string {
	if t.hold == 0 {
		return text
	}
	t.held += text
	n := max(0, len(t.held)-t.hold)
	for n > 0 && n < len(t.held) && !utf8.RuneStart(t.held[n]) {
		n--
	}
	text, t.held = t.held[:n], t.held[n:]
	return text
}

// end takes the last text in and returns the rest, without the stop string that
// ended it.
func (t *tail) end(text, reason string) string {
	text, t.held = t.held+text, ""
	if reason != stopSequence {
		return text
	}
	longest := 0
	for _, stop := range t.stops {
		if strings.HasSuffix(text, stop) {
			longest = max(longest, len(stop))
		}
	}
	return text[:len(text)-longest]
}
