package payload_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/audit/payload"
)

// TestAMarkIsTheSameHoweverItIsWritten: who looks a value up writes it as he likes, and
// finds no other value by it.
func TestAMarkIsTheSameHoweverItIsWritten(t *testing.T) {
	m := payload.NewMarker([]byte("key"))
	for name, c := range map[string]struct {
		a, b string
		same bool
	}{
		"a card in groups":              {"4111111111111111", "4111 1111-1111 1111", true},
		"digits in Arabic":              {"4111 2059", "٤١١١ ٢٠٥٩", true},
		"digits in Devanagari":          {"0123456789", "०१२३४५६७८९", true},
		"digits of full width":          {"4111", "４１１１", true},
		"an address in capitals":        {"bob@example.com", "Bob@Example.COM", true},
		"an account with blanks in it":  {"DE89370400440532013000", "de89 3704 0044 0532 0130 00", true},
		"what does not show":            {"bob@example.com", "bob\u200b@example.com", true},
		"another digit":                 {"4111 1111", "4111 1112", false},
		"another digit in Arabic":       {"٤١١١", "٤١١٢", false},
		"an address with another point": {"bob@example.com", "b.ob@example.com", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := m.Mark(c.a) == m.Mark(c.b); got != c.same {
				t.Errorf("the marks of %q and %q are the same: %t", c.a, c.b, got)
			}
		})
	}
	if payload.NewMarker([]byte("another")).Mark("4111") == m.Mark("4111") {
		t.Error("the key says nothing")
	}
}
