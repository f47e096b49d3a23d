package approval

import "time"

// slack is how far the clocks of two replicas may be apart, and one clock be set
// back, before a time in the future is not believed.
const slack = time.Minute

// clock tells two times: the wall's, which items are kept by and which may be
// set back, and the time that has really passed since the engine was made.
type clock struct {
	wall  func() time.Time
	began time.Time
}

func newClock(wall func() time.Time) clock {
	if wall == nil {
		wall = time.Now
	}
	return clock{wall: wall, began: time.Now()}
}

func (c *clock) now() time.Time { return c.wall() }

// passed does not go back, whatever the wall's clock does.
func (c *clock) passed() time.Duration { return time.Since(c.began) }

// left is how long what was made at from and ends at until still lasts: never
// longer than it was made for, and not at all for a clock that stands before
// it was made.
func (c *clock) left(from, until time.Time) time.Duration {
	now := c.now()
	if now.Before(from.Add(-slack)) {
		return 0
	}
	return min(until.Sub(now), until.Sub(from))
}
