package guard

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // guards name time zones, and images have none installed

	"github.com/sluice-gateway/sluice/access"
)

// window is an [Hours] as compiled.
type window struct {
	days     [7]bool // by time.Weekday
	from, to int     // minutes since midnight; to is less where it is the next day's
	zone     *time.Location
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // in the order of time.Weekday

const day = 24 * 60

// holds tells whether t is in the window, by the clock on the wall there.
func (w *window) holds(t time.Time) bool {
	t = t.In(w.zone)
	minute, today := t.Hour()*60+t.Minute(), int(t.Weekday())
	if w.from < w.to {
		return w.days[today] && w.from <= minute && minute < w.to
	}
	yesterday := (today + 6) % 7
	return w.days[today] && w.from <= minute || w.days[yesterday] && minute < w.to
}

// parseHours reads a window; the error is for the operator.
func parseHours(h Hours) (w window, err error) {
	if w.from, err = parseTime(h.From); err != nil {
		return w, err
	}
	if w.to, err = parseTime(h.To); err != nil {
		return w, err
	}
	if w.from == day || w.from == w.to {
		return w, errors.New("from has to be before 24:00 and another time than to; a whole day is from 00:00 to 24:00")
	}
	if h.TZ == "" || h.TZ == "Local" {
		return w, errors.New("tz must be a time zone by name, as Europe/Berlin or UTC")
	}
	if w.zone, err = time.LoadLocation(h.TZ); err != nil {
		return w, fmt.Errorf("unknown time zone %q; write one as Europe/Berlin or UTC", h.TZ)
	}
	for _, text := range h.Days {
		if err := w.addDays(text); err != nil {
			return w, err
		}
	}
	if len(h.Days) == 0 {
		w.days = [7]bool{true, true, true, true, true, true, true}
	}
	return w, nil
}

func parseTime(text string) (int, error) {
	if text == "24:00" {
		return day, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, fmt.Errorf("%q is no time of day; write it as 18:30", text)
	}
	return t.Hour()*60 + t.Minute(), nil
}

// addDays adds "mon" or "mon-fri"; "fri-mon" goes over the weekend.
func (w *window) addDays(text string) error {
	first, last, ranged := strings.Cut(text, "-")
	if !ranged {
		last = first
	}
	a, b := dayNumber(first), dayNumber(last)
	if a < 0 || b < 0 {
		return fmt.Errorf("%q are no days; write mon, or mon-fri%s", text, access.DidYouMean(text, dayNames))
	}
	for d := a; ; d = (d + 1) % 7 {
		w.days[d] = true
		if d == b {
			return nil
		}
	}
}

func dayNumber(name string) int {
	for i, n := range dayNames {
		if n == name {
			return i
		}
	}
	return -1
}
