package wiretest_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/wire/wiretest"
)

func TestPool(t *testing.T) {
	tests := []struct {
		name string
		use  func(p *wiretest.Pool)
		want string // in the one fault; "" is none
	}{
		{"given back", func(p *wiretest.Pool) { p.Put(p.Get(10)) }, ""},
		{"given back shortened", func(p *wiretest.Pool) {
			b := p.Get(10)
			*b = (*b)[:0]
			p.Put(b)
		}, ""},
		{"empty", func(p *wiretest.Pool) { p.Put(p.Get(0)) }, ""},
		{"twice", func(p *wiretest.Pool) {
			b := p.Get(10)
			p.Put(b)
			p.Put(b)
		}, "is not out"},
		{"a stranger's", func(p *wiretest.Pool) {
			b := make([]byte, 4)
			p.Put(&b)
		}, "is not out"},
		{"written late", func(p *wiretest.Pool) {
			b := p.Get(10)
			p.Put(b)
			(*b)[3] = 1
		}, "written to after"},
		{"written late and forgotten", func(p *wiretest.Pool) {
			b := p.Get(10)
			p.Put(b)
			(*b)[3] = 1
			for range 1000 {
				p.Put(p.Get(10))
			}
		}, "written to after"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := wiretest.NewPool()
			tt.use(p)
			faults := p.Faults()
			if tt.want == "" {
				p.Check(t)
				return
			}
			if len(faults) != 1 || !strings.Contains(faults[0], tt.want) {
				t.Errorf("faults %q, want one with %q", faults, tt.want)
			}
		})
	}
}

func TestPoolPoisons(t *testing.T) {
	p := wiretest.NewPool()
	b := p.Get(100)
	if got := p.Outstanding(); got != 1 {
		t.Errorf("%d buffers are out, want 1", got)
	}
	copy(*b, "secret")
	p.Put(b)
	if want := bytes.Repeat([]byte{wiretest.Poison}, 100); !bytes.Equal(*b, want) {
		t.Errorf("a freed buffer holds %x", *b)
	}
	if got := p.Outstanding(); got != 0 {
		t.Errorf("%d buffers are out, want none", got)
	}
	if got := p.Gets(); got != 1 {
		t.Errorf("%d buffers were handed out, want 1", got)
	}
}
