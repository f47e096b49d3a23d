package main

import (
	"bytes"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sink keeps each piece that is written to it; while gate is locked, writes wait.
type sink struct {
	gate   sync.Mutex
	pieces []string
}

func (s *sink) Write(p []byte) (int, error) {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.pieces = append(s.pieces, string(p))
	return len(p), nil
}

func TestLinesAreWrittenTogetherAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := new(sink)
		l := &lines{w: to}
		for _, line := range []string{"a\n", "b\n", "c\n"} {
			if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
				t.Fatal(n, err)
			}
		}
		to.gate.Lock()
		if len(to.pieces) != 0 {
			t.Errorf("written at once: %q", to.pieces)
		}
		to.gate.Unlock()
		time.Sleep(linesDelay)
		synctest.Wait()
		_, _ = l.Write([]byte("d\n"))
		time.Sleep(linesDelay)
		synctest.Wait()
		if got := strings.Join(to.pieces, "|"); got != "a\nb\nc\n|d\n" {
			t.Errorf("written %q", got)
		}
		l.flush()
		if len(to.pieces) != 2 {
			t.Errorf("nothing was written: %q", to.pieces)
		}
	})
}

func TestFlushedLinesAreWrittenAtOnce(t *testing.T) {
	for name, format := range map[string]string{"json": "json", "text": "text"} {
		t.Run(name, func(t *testing.T) {
			var to bytes.Buffer
			log, flush, err := (&logFlags{format: format, level: "info"}).logger(&to)
			if err != nil {
				t.Fatal(err)
			}
			log.Info("goodbye")
			flush()
			if !strings.Contains(to.String(), "goodbye") {
				t.Errorf("written %q", to.String())
			}
		})
	}
}

// Who logs faster than the log is read waits, and no line is lost or torn.
func TestLinesThatNobodyReadsAreBounded(t *testing.T) {
	to := new(sink)
	l := &lines{w: to}
	to.gate.Lock()
	const writers, each = 4, maxLines / 1000
	var done sync.WaitGroup
	line := []byte(strings.Repeat("x", 999) + "\n")
	for range writers {
		done.Go(func() {
			for range each {
				_, _ = l.Write(line)
			}
		})
	}
	waiting := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.waiting)
	}
	for waiting() < maxLines { // one piece is on its way, the next is full
		runtime.Gosched()
	}
	if n := waiting(); n > maxLines+writers*len(line) {
		t.Errorf("%d bytes wait", n)
	}
	to.gate.Unlock()
	done.Wait()
	l.flush()
	if all := strings.Join(to.pieces, ""); strings.Count(all, string(line)) != writers*each || len(all) != writers*each*len(line) {
		t.Errorf("%d bytes, %d lines", len(all), strings.Count(all, string(line)))
	}
}
