package generate_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sluice-gateway/sluice/backends/generate"
)

// readEvents reads all events, and the error that ended them.
func readEvents(r io.Reader) (events []string, err error) {
	e := generate.NewEvents(r)
	for {
		data, err := e.Next()
		if err != nil {
			return events, err
		}
		events = append(events, string(data))
	}
}

func TestEvents(t *testing.T) {
	tests := map[string]struct {
		stream string
		want   []string
		err    error
	}{
		"one":                   {"data: a\n\n", []string{"a"}, io.EOF},
		"none":                  {"", nil, io.EOF},
		"no blank":              {"data:a\n\n", []string{"a"}, io.EOF},
		"two blanks":            {"data:  a\n\n", []string{" a"}, io.EOF},
		"several":               {"data: a\n\ndata: b\n\ndata: [DONE]\n\n", []string{"a", "b", "[DONE]"}, io.EOF},
		"comments":              {":\n\n: keep-alive\n\ndata: a\n: in between\n\n:\n\n", []string{"a"}, io.EOF},
		"CRLF":                  {"data: a\r\n\r\ndata: b\r\n\r\n", []string{"a", "b"}, io.EOF},
		"CR":                    {"data: a\r\rdata: b\r\r", []string{"a", "b"}, io.EOF},
		"many lines":            {"data: a\ndata: b\ndata:\n\n", []string{"a\nb\n"}, io.EOF},
		"data alone":            {"data\n\n", []string{""}, io.EOF},
		"other fields":          {"event: token\nid: 1\nretry: 10\ndata: a\n\n", []string{"a"}, io.EOF},
		"an event without data": {"event: ping\n\ndata: a\n\n", []string{"a"}, io.EOF},
		"colons in data":        {"data: {\"a\":1}\n\n", []string{`{"a":1}`}, io.EOF},
		"cut in the data":       {"data: a\n\ndata: {\"ha", []string{"a"}, generate.ErrCutOff},
		"cut before its end":    {"data: a\n", nil, generate.ErrCutOff},
		"a page":                {"<html>\n", nil, generate.ErrNotEvents},
		"JSON":                  {"{\"error\":\"x\"}\n", nil, generate.ErrNotEvents},
		"a page without end":    {"<html>", nil, generate.ErrCutOff},
		"another case":          {"Data: a\n\n", nil, generate.ErrNotEvents},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"whole": strings.NewReader(c.stream), "bytes": iotest.OneByteReader(strings.NewReader(c.stream)),
				"with its end": iotest.DataErrReader(strings.NewReader(c.stream)),
			} {
				got, err := readEvents(r)
				if !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
					t.Errorf("%s: %q, %v; want %q, %v", how, got, err, c.want, c.err)
				}
			}
		})
	}
}

func TestAnEventOfAlmostAnySizeIsRead(t *testing.T) {
	for _, n := range []int{1, 4 << 10, 4<<10 - 6, 100_000, 1<<20 - 10} {
		want := strings.Repeat("x", n)
		got, err := readEvents(strings.NewReader("data: " + want + "\n\n"))
		if !errors.Is(err, io.EOF) || len(got) != 1 || got[0] != want {
			t.Errorf("%d bytes: %d events, %v", n, len(got), err)
		}
	}
}

// endless repeats its text and counts what was read of it.
type endless struct {
	text string
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		c := copy(p[n:], e.text[(e.read+n)%len(e.text):])
		n += c
	}
	e.read += n
	return n, nil
}

// TestAStreamWithoutEndIsNotGathered: 1 GB of anything that makes no events ends
// after a MiB or two.
func TestAStreamWithoutEndIsNotGathered(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"a line":   {"data: xxxxxxx", generate.ErrEventTooLong},
		"lines":    {"data: x\n", generate.ErrEventTooLong},
		"comments": {": x\n", generate.ErrNotEvents},
		"blanks":   {"\n", generate.ErrNotEvents},
		"events":   {"event: x\n\n", generate.ErrNotEvents},
		"zeros":    {"\x00", generate.ErrEventTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			e := &endless{text: c.text}
			got, err := readEvents(e)
			if !errors.Is(err, c.want) || len(got) != 0 || e.read > 10<<20 {
				t.Errorf("%d events of %d bytes, %v; want %v", len(got), e.read, err, c.want)
			}
		})
	}
}

// FuzzEvents: however the bytes come, the events are the same, and none is made of
// what was cut off.
func FuzzEvents(f *testing.F) {
	for _, s := range []string{"data: a\n\n", "data:a\r\n\r\n:x\n\ndata: b\n", "data: a\rdata: b\r\r", "event: x\ndata\n\n", "\n\n\n", "x"} {
		f.Add([]byte(s), uint8(1))
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8) {
		want, wantErr := readEvents(bytes.NewReader(stream))
		got, err := readEvents(&cutting{stream, int(cut)%7 + 1})
		if !slices.Equal(got, want) || !errors.Is(err, wantErr) && err.Error() != wantErr.Error() {
			t.Fatalf("cut into %d: %q, %v; whole: %q, %v", cut, got, err, want, wantErr)
		}
		if !errors.Is(wantErr, io.EOF) {
			return
		}
		// A good end is the end of an event: one more line must not change what was read.
		again, _ := readEvents(strings.NewReader(string(stream) + "\n"))
		if !slices.Equal(again, want) {
			t.Fatalf("a line end behind it makes %q of %q", again, want)
		}
	})
}

// cutting gives a few bytes at a time.
type cutting struct {
	rest []byte
	n    int
}

func (c *cutting) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.n)], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func BenchmarkEvents(b *testing.B) {
	event := `data: {"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":" word","logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n"
	e := generate.NewEvents(&endless{text: event})
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Next(); err != nil {
			b.Fatal(err)
		}
	}
}
