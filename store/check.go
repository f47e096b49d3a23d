package store

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Timeout bounds each call on a store, whatever its context allows.
const Timeout = 5 * time.Second

// MaxChanges is how many changes one [Store.Apply] takes at most.
const MaxChanges = 1000

// Bound returns ctx with an end of [Timeout] from now, if it has none before.
// Stores call it first in each method.
func Bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, Timeout)
}

// Away wraps a store's own trouble, so that it is [ErrAway] and still what it
// is; nil stays nil.
func Away(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}

// CheckChanges finds what no store takes: texts that are too long or no UTF-8,
// kinds in other letters, an item that is there twice. Stores call it before
// they write anything; what it refuses is a mistake of the caller, none of the
// three errors above.
func CheckChanges(changes []Change) error {
	if len(changes) > MaxChanges {
		return fmt.Errorf("store: %d changes at once, more than %d", len(changes), MaxChanges)
	}
	type key struct {
		kind Kind
		id   string
	}
	seen := make(map[key]bool, len(changes))
	for _, c := range changes {
		if err := c.check(); err != nil {
			return err
		}
		k := key{c.Kind, c.ID}
		if seen[k] {
			return fmt.Errorf("store: %s %q is changed twice at once", c.Kind, c.ID)
		}
		seen[k] = true
	}
	return nil
}

func (c *Change) check() error {
	if err := checkKind(c.Kind); err != nil {
		return err
	}
	if c.ID == "" {
		return fmt.Errorf("store: a %s has no id", c.Kind)
	}
	for _, text := range []struct{ name, value string }{{"id", c.ID}, {"owner", c.Owner}, {"state", c.State}} {
		if err := checkText(text.name, text.value); err != nil {
			return fmt.Errorf("store: a %s: %w", c.Kind, err)
		}
	}
	switch {
	case len(c.Body) > MaxBody:
		return fmt.Errorf("store: %s %q: the body has %d bytes, more than %d", c.Kind, c.ID, len(c.Body), MaxBody)
	case c.Revision < 0:
		return fmt.Errorf("store: %s %q: revision %d", c.Kind, c.ID, c.Revision)
	case c.Delete && c.Revision == 0:
		return fmt.Errorf("store: %s %q: what is not there yet can't be deleted", c.Kind, c.ID)
	}
	return nil
}

// checkKind keeps kinds to what can stand before a space in a notice.
func checkKind(k Kind) error {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("_-./", r)
	}
	if k == "" || len(k) > 64 || strings.ContainsFunc(string(k), bad) {
		return fmt.Errorf("store: kind %q: a kind is 1 to 64 lower case letters, digits and _ - . /", k)
	}
	return nil
}

func checkText(name, value string) error {
	switch {
	case len(value) > MaxText:
		return fmt.Errorf("its %s has %d bytes, more than %d", name, len(value), MaxText)
	case strings.IndexByte(value, 0) >= 0:
		return fmt.Errorf("its %s holds a byte 0", name)
	case !utf8.ValidString(value):
		return fmt.Errorf("its %s is not UTF-8", name)
	}
	return nil
}

// Checked returns q with its limit set, or what no store takes. A text that no
// item can have is no error where it is only compared.
func (q Query) Checked() (Query, error) {
	if err := checkKind(q.Kind); err != nil {
		return q, err
	}
	for _, text := range []struct{ name, value string }{{"owner", q.Owner}, {"state", q.State}, {"id", q.After}} {
		if err := checkText(text.name, text.value); err != nil {
			return q, fmt.Errorf("store: a query for %s: %w", q.Kind, err)
		}
	}
	if q.Limit < 0 {
		return q, fmt.Errorf("store: a query for %s: limit %d", q.Kind, q.Limit)
	}
	if q.Limit == 0 || q.Limit > MaxPage {
		q.Limit = MaxPage
	}
	return q, nil
}

// CheckKey finds a kind or id that no item can have.
func CheckKey(kind Kind, id string) error {
	if err := checkKind(kind); err != nil {
		return err
	}
	if err := checkText("id", id); err != nil {
		return fmt.Errorf("store: a %s: %w", kind, err)
	}
	return nil
}

// Millis rounds a time down to what a store keeps; the zero time stays.
func Millis(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}
