package replay

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/audit/payload"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// Key is what who watches wants.
type Key byte

// The keys.
const (
	Pause   Key = ' '  // and go on
	Step    Key = 'n'  // one event, and stop there
	Faster  Key = '+'  // twice as fast
	Slower  Key = '-'  // half as fast
	Back    Key = 'b'  // ten seconds back
	Forward Key = 'f'  // and on
	Quit    Key = 'q'  //
	enter   Key = '\n' // as Step
)

const (
	jump               = 10 * time.Second
	slowest, fastest   = 1.0 / 64, 1024
	defaultLongestWait = 10 * time.Second
)

// Player plays sessions. It is for one goroutine.
type Player struct {
	Out io.Writer
	// Speed is how many times as fast; 1 if 0. Negative does not wait at all.
	Speed float64
	// From is where in the session to begin; Longest bounds a pause in which nothing
	// happened (default 10 s; negative does not).
	From, Longest time.Duration
	// Stepping begins stopped.
	Stepping bool
	// Keys are pressed by who watches; nil if nobody can.
	Keys <-chan Key

	session *Session
	next    int // event
	stopped bool
	line    int // the call whose text stands in the line that is open; -1 for none
}

// Play plays a session to its end, until ctx ends, or until [Quit].
func (p *Player) Play(ctx context.Context, s *Session) error {
	p.session, p.line, p.stopped = s, -1, p.Stepping
	if p.Speed == 0 {
		p.Speed = 1
	}
	if p.Longest == 0 {
		p.Longest = defaultLongestWait
	}
	if err := p.head(); err != nil {
		return err
	}
	at := p.From
	p.seek(at)
	for p.next < len(s.Events) {
		e := &s.Events[p.next]
		quit, moved, err := p.wait(ctx, e.At-at, at)
		switch {
		case err != nil || quit:
			return err
		case moved != nil:
			at = *moved
			p.seek(at)
			if err := p.note("at %s", stamp(at)); err != nil {
				return err
			}
			continue
		}
		at = e.At
		p.next++
		if err := p.event(e); err != nil {
			return err
		}
	}
	return p.note("end, after %s", stamp(s.Length()))
}

// seek makes the first event from a time on the next one.
func (p *Player) seek(at time.Duration) {
	p.next = sort.Search(len(p.session.Events), func(i int) bool { return p.session.Events[i].At >= at })
}

// wait waits for d of the session's time, and hears keys meanwhile. moved is where
// who watches wants to be.
func (p *Player) wait(ctx context.Context, d, at time.Duration) (quit bool, moved *time.Duration, err error) {
	if p.Longest > 0 {
		d = min(d, p.Longest)
	}
	for {
		p.stopped = p.stopped && p.Keys != nil // nobody could let it go on
		var timer *time.Timer
		var over <-chan time.Time
		begun := time.Now()
		if !p.stopped {
			if p.Speed < 0 || d <= 0 {
				return false, nil, ctx.Err()
			}
			timer = time.NewTimer(time.Duration(float64(d) / p.Speed))
			over = timer.C
		}
		var key Key
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-over:
			d = 0
		case pressed, open := <-p.Keys:
			if key = pressed; !open {
				p.Keys = nil
			}
		}
		if timer != nil {
			timer.Stop()
			d -= time.Duration(float64(time.Since(begun)) * p.Speed)
		}
		if err != nil || over != nil && d <= 0 && key == 0 {
			return false, nil, err
		}
		if quit, step, to := p.press(key, at); quit || step || to != nil {
			return quit, to, nil
		}
	}
}

// press does what a key says; step goes on to the next event.
func (p *Player) press(key Key, at time.Duration) (quit, step bool, to *time.Duration) {
	switch key {
	case Quit:
		return true, false, nil
	case Pause:
		p.stopped = !p.stopped
	case Step, enter:
		p.stopped = true
		return false, true, nil
	case Faster:
		p.Speed = min(p.Speed*2, fastest)
	case Slower:
		p.Speed = max(p.Speed/2, slowest)
	case Back, Forward:
		t := at + jump
		if key == Back {
			t = max(at-jump, 0)
		}
		return false, false, &t
	}
	return false, false, nil
}

// head says what is played.
func (p *Player) head() error {
	r := p.session.Calls[0].Record
	masked := ""
	for _, c := range p.session.Calls {
		if c.Content != nil {
			masked = "; what was said is shown as it is kept: masked"
		}
	}
	_, err := fmt.Fprintf(p.Out, "session %s of %s (%s), %s, %d calls in %s%s\n",
		Plain(p.session.ID), Plain(r.Name), Plain(r.PrincipalID()), p.session.Begun.UTC().Format(time.RFC3339), len(p.session.Calls), stamp(p.session.Length()), masked)
	return err
}

// stamp is a time of the session as it is shown.
func stamp(d time.Duration) string {
	return fmt.Sprintf("%02d:%06.3f", int(d.Minutes()), (d - d.Truncate(time.Minute)).Seconds())
}

// note writes a line of the player's own.
func (p *Player) note(format string, args ...any) error {
	if err := p.closeLine(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.Out, "-- "+format+"\n", args...)
	return err
}

func (p *Player) closeLine() error {
	if p.line < 0 {
		return nil
	}
	p.line = -1
	_, err := io.WriteString(p.Out, "\n")
	return err
}

// event shows an event. Texts of a stream's answers go on in one line, as they
// came.
func (p *Player) event(e *Event) error {
	c := &p.session.Calls[e.Call]
	if text, ok := streamed(&e.Frame); ok && c.Content != nil {
		if p.line != e.Call {
			if err := p.title(e, c, "<"); err != nil {
				return err
			}
			p.line = e.Call
		}
		_, err := io.WriteString(p.Out, Plain(text))
		return err
	}
	sign := "<"
	if e.Frame.Asked() {
		sign = ">"
	}
	if err := p.title(e, c, sign); err != nil {
		return err
	}
	all := lines(&e.Frame)
	if c.Content == nil {
		all = nil
		if e.Frame.Asked() {
			all = []string{"(what was said is not there: " + Plain(c.Absent) + ")"}
		}
	}
	_, err := io.WriteString(p.Out, "\n")
	if len(all) > 0 {
		_, err = io.WriteString(p.Out, "    "+strings.Join(all, "\n    ")+"\n")
	}
	return err
}

// title begins a line: when, which way, and of which call.
func (p *Player) title(e *Event, c *Call, sign string) error {
	if err := p.closeLine(); err != nil {
		return err
	}
	r := c.Record
	id := ""
	if r.Request != "" {
		id = " " + r.Request
	}
	_, err := fmt.Fprintf(p.Out, "%s %s %s %s%s ", stamp(e.At), sign, Plain(r.RPC), Plain(r.Model), Plain(id))
	return err
}

// streamed is the text of an answer of a stream that holds nothing but one.
func streamed(f *payload.Frame) (string, bool) {
	if f.Kind != payload.Stream || f.Cut {
		return "", false
	}
	m := new(pb.ModelStreamInferResponse)
	if proto.Unmarshal(f.Message, m) != nil || m.ErrorMessage != "" {
		return "", false
	}
	all := tensors(m.GetInferResponse().GetOutputs(), m.GetInferResponse().GetRawOutputContents(), false)
	if len(all) == 0 {
		return "", true // the empty last answer
	}
	if len(all) != 1 || len(all[0].texts) != 1 {
		return "", false
	}
	return all[0].texts[0], true
}
