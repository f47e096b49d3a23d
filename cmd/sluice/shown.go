package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// shown makes a text of others safe to print: what a terminal would obey, or what
// turns the direction of writing, is shown as an escape.
func shown(text string) string {
	if !strings.ContainsFunc(text, unsafeToShow) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for _, c := range text { // an invalid byte is U+FFFD, which is shown as it is
		if unsafeToShow(c) {
			quoted := strconv.QuoteRuneToASCII(c)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// unsafeToShow is what is not printable: control characters of either set, marks
// of direction, separators of lines.
func unsafeToShow(c rune) bool { return !unicode.IsPrint(c) }

// printJSON writes messages as one JSON value: an array if many are asked for. The
// form is that of the REST API, and does not change from run to run.
func printJSON[M proto.Message](w io.Writer, many bool, messages ...M) error {
	var b bytes.Buffer
	if many {
		b.WriteByte('[')
	}
	for i, m := range messages {
		if i > 0 {
			b.WriteByte(',')
		}
		one, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
		if err != nil {
			return err
		}
		if err := json.Compact(&b, one); err != nil { // protojson's own spaces are at random
			return err
		}
	}
	if many {
		b.WriteByte(']')
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, asciiControls(b.String()))
	return err
}

// printValue writes anything else as one JSON value.
func printValue(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, asciiControls(string(text))+"\n")
	return err
}

// asciiControls escapes in JSON what a terminal would obey and JSON lets stand.
func asciiControls(text string) string {
	var b strings.Builder
	for _, c := range text {
		switch {
		case c == '\n' || !unsafeToShow(c):
			b.WriteRune(c)
		case c > 0xffff:
			c -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+c>>10, 0xdc00+c&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, c)
		}
	}
	return b.String()
}

// table is lines of cells under a heading. Cells are made safe to print; on a
// terminal a line is cut at its edge.
type table struct {
	lines [][]string
}

func newTable(heading ...string) *table { return &table{[][]string{heading}} }

func (t *table) add(cells ...string) { t.lines = append(t.lines, cells) }

// write writes the table, or where it has no line but its heading what is said then.
func (t *table) write(w io.Writer, none string) error {
	if len(t.lines) == 1 {
		_, err := fmt.Fprintln(w, none)
		return err
	}
	var b bytes.Buffer
	tabs := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, line := range t.lines {
		cells := make([]string, len(line))
		for i, cell := range line {
			if cells[i] = shown(cell); cell == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(tabs, strings.Join(cells, "\t"))
	}
	_ = tabs.Flush() // into memory
	width := widthOf(w)
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, cut(strings.TrimRight(line, " \n"), width)); err != nil {
			return err
		}
	}
	return nil
}

// widthOf is how many columns a terminal has; 0 where w is none.
func widthOf(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

func cut(line string, width int) string {
	if runes := []rune(line); width > 1 && len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return line
}

// ago is how long ago something was, and in how long it will be.
func ago(at *timestamppb.Timestamp, now time.Time) string {
	if at == nil {
		return ""
	}
	if d := now.Sub(at.AsTime()); d > -time.Second {
		return span(d) + " ago"
	}
	return "in " + span(at.AsTime().Sub(now))
}

// span is a time in its greatest unit, and the next where that is not much.
func span(d time.Duration) string {
	d = max(d.Round(time.Second), 0) // an hour that has just begun is no 59m
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d < 10*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + "d"
}

// size is a number of bytes in its greatest unit.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}
