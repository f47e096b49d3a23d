// Package probe reads what a proxy costs from Linux's /proc: the processor
// time of all its threads, and its memory. It asks nothing of the proxy, so
// that every one is measured in the same way; allocations alone are read from
// a page that a Go program may serve.
package probe

import "time"

// Spec names what to measure.
type Spec struct {
	// PIDs are the processes; their descendants count too.
	PIDs []int `json:"pids"`
	// HeapURL is the URL of a page with the Go runtime's counters, as expvar
	// or a Prometheus Go collector serves them; "" where there is none.
	HeapURL string `json:"heap_url,omitempty"`
}

// Sample is the state of the processes at one moment. Counters only grow.
type Sample struct {
	At  time.Time     `json:"at"`
	CPU time.Duration `json:"cpu_ns"`
	// RSS is resident memory, Peak its maximum since [Spec.ResetPeak], in
	// bytes. Over several processes the peaks are added up, which is at least
	// the peak of the sum.
	RSS  uint64 `json:"rss_bytes"`
	Peak uint64 `json:"peak_rss_bytes"`
}

// Take measures processor time and memory now.
func (s Spec) Take() (Sample, error) {
	out := Sample{At: time.Now()}
	tree, err := descendants(s.PIDs)
	if err != nil {
		return out, err
	}
	for _, pid := range tree {
		cpu, err := cpuTime(pid)
		if err != nil {
			return out, err
		}
		rss, peak, err := memory(pid)
		if err != nil {
			return out, err
		}
		out.CPU += cpu
		out.RSS += rss
		out.Peak += peak
	}
	return out, nil
}
