package detect_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/masking/detect"
)

// tell writes events as a line: clear text as it is, matches as <ENTITY text>,
// with … where one goes on from or to another event.
func tell(set *detect.Set, events []detect.Event) string {
	var b strings.Builder
	for _, ev := range events {
		if ev.Clear() {
			b.Write(ev.Text)
			continue
		}
		open, end := "<"+set.Info(ev.Index).Entity+" ", ">"
		if !ev.First {
			open = "<… "
		}
		if !ev.Last {
			end = "…>"
		}
		fmt.Fprintf(&b, "%s%s%s", open, ev.Text, end)
	}
	return b.String()
}

// TestEvents shows what each chunk of a stream gives out.
func TestEvents(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiJ9"
	tests := []struct {
		name   string
		chunks []string
		want   []string // for each chunk, and for the end
	}{
		{"clear", []string{"See ", "the ", "world"}, []string{"See ", "the ", "", "world"}},
		{"nothing", []string{""}, []string{"", ""}},
		{"match within a chunk", []string{"to a@b.com now "}, []string{"to <EMAIL a@b.com> now ", ""}},
		{"match over chunks", []string{"to ja", "ne@exam", "ple.com", " now "}, []string{"to ", "", "", "<EMAIL jane@example.com> now ", ""}},
		{"match at the end", []string{"to a@b.com"}, []string{"to ", "<EMAIL a@b.com>"}},
		{"not a match at the end", []string{"to a@b"}, []string{"to ", "a@b"}},
		{"two matches", []string{"a@b.com", ",", "c@d.com "}, []string{"", "<EMAIL a@b.com>,", "<EMAIL c@d.com> ", ""}},
		{"token in one piece", []string{"x " + token + ".e30.AA y "}, []string{"x <JWT eyJhbGciOiJIUz…><… I1NiJ9.e30.AA> y ", ""}},
		{"token in pieces", []string{"x ", token[:5], token[5:], ".", "e30", ".A", " y "}, []string{
			"x ", "", "<JWT eyJhbGciOiJIUz…><… I1NiJ9…>", "", "<… .e30…>", "<… .A…>", "<… > y ", "",
		}},
		{"token with a dot behind", []string{token + ".", " y "}, []string{"<JWT eyJhbGciOiJIUz…><… I1NiJ9…>", "<… >. y ", ""}},
		{"token at the end", []string{token}, []string{"<JWT eyJhbGciOiJIUz…><… I1NiJ9…>", "<… >"}},
		{"key in pieces", []string{"-----BEGIN ", "PRIVATE KEY-----\n", "abc\n", "-----END PRIV", "ATE KEY-----", "\nclear "}, []string{
			"", "<PRIVATE_KEY -----BEGIN PRIVATE KEY-----…><… \n…>", "<… abc\n…>", "", "", "<… -----END PRIVATE KEY----->\nclear ", "",
		}},
		{"key without an end", []string{"-----BEGIN PRIVATE KEY-----\n", "abc"}, []string{"<PRIVATE_KEY -----BEGIN PRIVATE KEY-----…><… \n…>", "<… abc…>", "<… >"}},
		{"half a character", []string{"caf\xc3", "\xa9 "}, []string{"", "café ", ""}},
		{"half an escape", []string{`a@b\u00`, `2ecom `}, []string{"", `<EMAIL a@b\u002ecom> `, ""}},
		{"half an escape at the end", []string{`x \u00`}, []string{"x ", `\u00`}},
		{"ignorable characters before a match", []string{"x \u200b", "a@b.com "}, []string{"x \u200b", "<EMAIL a@b.com> ", ""}},
		{"ignorable characters behind a match", []string{"a@b.com\u200b", "\u200b "}, []string{"", "<EMAIL a@b.com>\u200b\u200b ", ""}},
	}
	set := everything(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := set.NewStream()
			var got []string
			for _, chunk := range tt.chunks {
				got = append(got, tell(set, st.Write([]byte(chunk), nil)))
			}
			if got = append(got, tell(set, st.Flush(nil))); !slices.Equal(got, tt.want) {
				t.Errorf("\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestLongToken: what has no longest match is given out as it comes, however
// long it gets, and never held.
func TestLongToken(t *testing.T) {
	set := everything(t)
	for name, parts := range map[string][3]string{
		"JWT":         {"eyJhbGciOiJIUzI1NiJ9.", strings.Repeat("QUJD", 100), " "},
		"PRIVATE_KEY": {"-----BEGIN PRIVATE KEY-----\n", strings.Repeat("QUJD", 15) + "\n", "-----END PRIVATE KEY----- "},
	} {
		t.Run(name, func(t *testing.T) {
			st := set.NewStream()
			st.Write([]byte(parts[0]), nil)
			for range 1000 {
				if events := st.Write([]byte(parts[1]), nil); len(events) != 1 || events[0].First || events[0].Last || st.Held() > 1 {
					t.Fatalf("%d bytes held, %s", st.Held(), tell(set, events))
				}
			}
			events := st.Write([]byte(parts[2]), nil)
			if !events[0].Last || set.Info(events[0].Index).Entity != name {
				t.Errorf("%s", tell(set, events))
			}
		})
	}
}

// TestLongWords: the longest of what is bounded is found when it comes byte by
// byte, and what is longer than the hold-back is given out all the same.
func TestLongWords(t *testing.T) {
	set := everything(t)
	for _, text := range []string{
		strings.Repeat("x", 1000) + "@" + strings.Repeat("y", 1000) + ".com ",
		strings.Repeat("x", 64) + "@" + strings.Repeat("y.", 100) + "com ",
		"sk-" + strings.Repeat("a1", 300) + " ",
		"https://" + strings.Repeat("u", 100) + ":" + strings.Repeat("p", 300) + "@host ",
		"4" + strings.Repeat("1", 1000) + " ",
		"+49" + strings.Repeat(" 1", 200) + " ",
	} {
		everyCut(t, set, text)
	}
}
