package probe

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

const (
	heapTimeout = 2 * time.Second
	heapMax     = 8 << 20 // bytes of the page that are read
)

// The counters as expvar's memstats and as the Prometheus Go collector name
// them.
var (
	mallocsLine = regexp.MustCompile(`(?m)(?:"Mallocs":\s*|^go_memstats_mallocs_total\s+)([0-9.e+]+)`)
	bytesLine   = regexp.MustCompile(`(?m)(?:"TotalAlloc":\s*|^go_memstats_alloc_bytes_total\s+)([0-9.e+]+)`)
)

// Heap counts what a Go program has allocated since it began.
type Heap struct {
	Mallocs uint64 `json:"mallocs"`
	Bytes   uint64 `json:"bytes"`
}

// TakeHeap reads the counters. They are an extra: where their page does not
// answer, or there is none, they are 0. Asking costs the program some time, so
// ask before a first [Spec.Take] and after a last one.
func (s Spec) TakeHeap(ctx context.Context) Heap {
	if s.HeapURL == "" {
		return Heap{}
	}
	page, err := get(ctx, s.HeapURL)
	if err != nil {
		return Heap{}
	}
	return Heap{Mallocs: number(mallocsLine, page), Bytes: number(bytesLine, page)}
}

func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, heapTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, heapMax))
}

func number(line *regexp.Regexp, page []byte) uint64 {
	m := line.FindSubmatch(page)
	if m == nil {
		return 0
	}
	f, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return 0
	}
	return uint64(f)
}
