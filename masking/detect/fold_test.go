package detect

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFold(t *testing.T) {
	most := strings.Repeat("\u200b", maxIgnorable)
	tests := []struct{ name, text, want string }{
		{"plain", "abc 123\n\t", "abc 123\n\t"},
		{"full width", "ＡＢｃ１２＠．", "ABc12@."},
		{"digits of other scripts", "٣۴५๕𝟗", "34559"},
		{"circled, raised, lowered", "①❷⓷⁴₅⓪", "123450"},
		{"accents", "éÉñüßø", "eEnußø"},
		{"accents apart", "e\u0301u\u0308", "eu"},
		{"mathematical", "𝐀𝑏𝒸", "Abc"},
		{"spaces", "a\u00a0b\u2009c\u3000d", "a b c d"},
		{"line ends", "a\u2028b\u2029c", "a\nb\nc"},
		{"dashes", "1‐2‑3–4—5−6－7", "1-2-3-4-5-6-7"},
		{"other letters", "日本語 Привет שלום", "日本語 Привет שלום"},
		{"other marks", "€☃", "\xff\xff"},
		{"ignorable", "a\u200b\u00ad\ufeff\u200db\u2060c", "abc"},
		{"control characters", "a\x00\x1b\x7fb", "ab"},
		{"most ignorable ones", "a" + most + "b", "ab"},
		{"too many", "a" + most + "\u200bb", "a\xfeb"},
		{"far too many", "a" + most + most + most + "b", "a\xfeb"},
		{"escaped, most", "a" + strings.Repeat(`\u200b`, 8) + "b", "ab"},
		{"escaped, too many bytes", "a" + strings.Repeat(`\udb40\udc01`, 5) + "b", "a\xfeb"},
		{"escapes", `\u0041\u0042\u00e9\/\"`, `ABe/"`},
		{"escaped white space", `a\nb\tc\rd`, "a\nb c\nd"},
		{"escaped pair", `\ud835\udfd2`, "4"},
		{"half a pair", `\ud835x`, "\xffx"},
		{"halves in the wrong order", `\udfd2\ud835`, "\xff\xff"},
		{"escaped twice", `\\u0041\\\\u0042`, "AB"},
		{"no escape", `\q \u00zz \u12`, `\q \u00zz \u12`},
		{"escaped ignorable", `a\u200bb`, "ab"},
		{"escaped backslash", `\u005c`, `\`},
		{"not UTF-8", "a\xffb\xc3", "a\xffb\xff"},
		{"too long UTF-8", "\xc0\x80", "\xff\xff"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f folded
			f.fold([]byte(tt.text), ignorable{}, true)
			if string(f.b) != tt.want || f.end != len(tt.text) {
				t.Errorf("%q: %q up to %d, want %q", tt.text, f.b, f.end, tt.want)
			}
			checkOffsets(t, &f)
		})
	}
}

// checkOffsets holds the map between folded and original text to its rules.
func checkOffsets(t *testing.T, f *folded) {
	t.Helper()
	last := 0
	for i := range f.b {
		o, end := f.org(i), f.orgEnd(i+1)
		if o < last || end < o || end > f.end {
			t.Fatalf("folded byte %d of %q is original %d to %d, before it %d", i, f.b, o, end, last)
		}
		if c := f.ceil(o); utf8.RuneStart(f.b[i]) && (c > i || f.org(c) != o) {
			t.Errorf("ceil(%d) is %d, not %d", o, c, i)
		}
		if f.b[i] < 0x80 && f.floor(end) != i+1 {
			t.Errorf("floor(%d) is %d, not %d", end, f.floor(end), i+1)
		}
		last = o
	}
}

// FuzzFold: what is read in pieces reads as the whole, and offsets go up.
func FuzzFold(f *testing.F) {
	for _, s := range []string{"jäne@exam\u200bple.com", `\ud835\udfd2\\u0041`, "\xe2\x80", strings.Repeat("\u200b", 20) + "a"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, s string, at int) {
		if at < 0 || at > len(s) {
			return
		}
		var whole, first, second folded
		whole.fold([]byte(s), ignorable{}, true)
		checkOffsets(t, &whole)
		first.fold([]byte(s[:at]), ignorable{}, false)
		if at-first.end >= longestSymbol {
			t.Errorf("%d bytes of %q are left unread", at-first.end, s[:at])
		}
		second.fold([]byte(s[first.end:]), first.run, true)
		if joined := string(first.b) + string(second.b); joined != string(whole.b) {
			t.Errorf("cut at %d, %q: %q, want %q", at, s, joined, whole.b)
		}
	})
}

func TestPlain(t *testing.T) {
	clean := []byte("The quick brown fox\njumps over\r\n\tthe lazy dog. 0123456789 ~!")
	if n := plain(clean); n != len(clean) {
		t.Errorf("plain up to %d of %d", n, len(clean))
	}
	for b := range 0x100 {
		if !special[b] {
			continue
		}
		for i := range clean {
			dirty := append([]byte(nil), clean...)
			dirty[i] = byte(b)
			if n := plain(dirty); n != i {
				t.Errorf("%#x at %d: plain up to %d", b, i, n)
			}
		}
	}
}
