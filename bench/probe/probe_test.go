//go:build linux

package probe_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/bench/probe"
)

func take(t *testing.T, s probe.Spec) probe.Sample {
	t.Helper()
	sample, err := s.Take()
	if err != nil {
		t.Fatal(err)
	}
	return sample
}

func TestOwnWorkIsSeen(t *testing.T) {
	s := probe.Spec{PIDs: []int{os.Getpid()}}
	before := take(t, s)
	block := make([]byte, 32<<20)
	var after probe.Sample
	for start := time.Now(); after.CPU-before.CPU < 10*time.Millisecond; after = take(t, s) {
		if time.Since(start) > time.Minute {
			t.Fatalf("a minute of work cost %v", after.CPU-before.CPU)
		}
		for i := 0; i < len(block); i += 4096 {
			block[i]++
		}
	}
	if grown := int64(after.Peak) - int64(before.RSS); grown < 24<<20 {
		t.Errorf("32 MiB touched raised the peak by %d bytes", grown)
	}
	if block[0] == 0 {
		t.Error("no work was done")
	}
}

func TestChildrenCount(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The outer shell waits for the inner one, as a master does for a worker.
	cmd := exec.CommandContext(ctx, "sh", "-c", "sh -c 'echo up; read line' ; true")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, new(string)); err != nil {
		t.Fatal(err)
	}
	tree := take(t, probe.Spec{PIDs: []int{cmd.Process.Pid}})
	if own := take(t, probe.Spec{PIDs: []int{os.Getpid()}}); own.RSS < tree.RSS {
		t.Errorf("this process, parent of both shells, has %d bytes, they have %d", own.RSS, tree.RSS)
	}
	if tree.RSS == 0 || tree.CPU == 0 {
		t.Errorf("shells measured as %+v", tree)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := (probe.Spec{PIDs: []int{cmd.Process.Pid}}).Take(); err == nil {
		t.Error("a process that has ended was measured")
	}
}

func TestHeap(t *testing.T) {
	tests := map[string]struct {
		page           string
		mallocs, bytes uint64
	}{
		"expvar":     {`{"memstats": {"TotalAlloc":2048,"Mallocs":17,"Frees":3}}`, 17, 2048},
		"prometheus": {"# TYPE x counter\ngo_memstats_mallocs_total 1.5e+06\ngo_memstats_alloc_bytes_total 3e+09\n", 1500000, 3000000000},
		"neither":    {"hello", 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, tt.page)
			}))
			defer srv.Close()
			got := probe.Spec{HeapURL: srv.URL}.TakeHeap(t.Context())
			if got.Mallocs != tt.mallocs || got.Bytes != tt.bytes {
				t.Errorf("read %d allocations of %d bytes", got.Mallocs, got.Bytes)
			}
		})
	}
}

func TestHeapIsAnExtra(t *testing.T) {
	for _, url := range []string{"", "http://127.0.0.1:1/none", "no url at all\n"} {
		if got := (probe.Spec{HeapURL: url}).TakeHeap(t.Context()); got != (probe.Heap{}) {
			t.Errorf("without a page (%q): %+v", url, got)
		}
	}
}

func TestResetPeak(t *testing.T) {
	s := probe.Spec{PIDs: []int{os.Getpid()}}
	if err := s.ResetPeak(); err != nil {
		t.Skipf("left out: the kernel does not reset the peak: %v", err)
	}
	if got := take(t, s); got.Peak > got.RSS+(64<<20) {
		t.Errorf("peak %d long after resident %d", got.Peak, got.RSS)
	}
}
