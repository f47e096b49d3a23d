package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func TestTextOfOthersMovesNoTerminal(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"plain":                {"Grüße, 世界 ok", "Grüße, 世界 ok"},
		"an escape sequence":   {"\x1b[2Jgone", `\x1b[2Jgone`},
		"its 8-bit form":       {"\u009b2Jgone", `\u009b2Jgone`},
		"a title":              {"\x1b]0;x\x07", `\x1b]0;x\a`},
		"another line":         {"a\nb\r\tc", `a\nb\r\tc`},
		"backspaces":           {"deny\b\b\b\bpass", `deny\b\b\b\bpass`},
		"a turn of direction":  {"a\u202egnp.exe", `a\u202egnp.exe`},
		"isolates":             {"\u2066x\u2069", `\u2066x\u2069`},
		"a separator of lines": {"a\u2028b", `a\u2028b`},
		"a zero-width space":   {"a\u200bb", `a\u200bb`},
		"no UTF-8":             {"a\xffb", "a\ufffdb"},
		"delete":               {"a\x7fb", `a\x7fb`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := shown(c.text); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestJSONIsTheSameEachTime(t *testing.T) {
	a := &pb.Approval{Id: "x", Reason: "\x1b[2J\u009b\u202e\U000e0001 <ok>", Requester: &pb.Principal{Name: "bob"}}
	var first string
	for i := range 20 {
		var b bytes.Buffer
		if err := printJSON(&b, true, a, a); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = b.String()
		}
		if b.String() != first {
			t.Fatalf("%s and %s", first, b.String())
		}
	}
	if strings.ContainsFunc(strings.TrimSuffix(first, "\n"), unsafeToShow) {
		t.Errorf("a terminal would obey %q", first)
	}
	var back []struct{ ID, Reason, State string }
	if err := json.Unmarshal([]byte(first), &back); err != nil || len(back) != 2 || back[0].ID != "x" || back[0].Reason != a.GetReason() || back[0].State == "" {
		t.Errorf("got %+v, %v of %s", back, err, first)
	}
	var none bytes.Buffer
	if err := printJSON[*pb.Approval](&none, true); err != nil || none.String() != "[]\n" {
		t.Errorf("nothing is %q, %v", none.String(), err)
	}
}

func TestATable(t *testing.T) {
	var b bytes.Buffer
	table := newTable("ID", "WHO")
	table.add("1", "")
	table.add("22", "bob\x1b[0m\nadmin")
	if err := table.write(&b, "none"); err != nil || b.String() != "ID  WHO\n1   -\n22  bob\\x1b[0m\\nadmin\n" {
		t.Errorf("got %q, %v", b.String(), err)
	}
	b.Reset()
	if err := newTable("ID").write(&b, "none"); err != nil || b.String() != "none\n" {
		t.Errorf("got %q, %v", b.String(), err)
	}
	if got := cut("abcdef", 4); got != "abc…" {
		t.Errorf("cut to %q", got)
	}
	if got := cut("abcd", 4); got != "abcd" {
		t.Errorf("cut to %q", got)
	}
}

func TestTimesAndSizesInWords(t *testing.T) {
	now := time.Unix(1_000_000_000, 0)
	for d, want := range map[time.Duration]string{
		0: "0s ago", 5 * time.Second: "5s ago", 2*time.Minute + 59*time.Second: "2m ago", 3*time.Hour + 5*time.Minute: "3h05m ago",
		30 * time.Hour: "30h ago", 72 * time.Hour: "3d ago", -13*time.Minute - 5*time.Second: "in 13m",
	} {
		if got := ago(timestamppb.New(now.Add(-d)), now); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
	if got := ago(nil, now); got != "" {
		t.Errorf("never is %q", got)
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 3 << 30: "3.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
