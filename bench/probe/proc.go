package probe

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clearPeak is what proc_pid_clear_refs(5) takes to reset VmHWM.
const clearPeak = "5"

// ResetPeak starts the peak of resident memory anew. Where the kernel does
// not allow it the peak is that of the process's whole life.
func (s Spec) ResetPeak() error {
	tree, err := descendants(s.PIDs)
	if err != nil {
		return err
	}
	for _, pid := range tree {
		if err := os.WriteFile(proc(pid, "clear_refs"), []byte(clearPeak), 0); err != nil {
			return err
		}
	}
	return nil
}

func proc(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// descendants gives the processes and all that came from them.
func descendants(roots []int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, err := parent(pid); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	tree := slices.Clone(roots)
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

// parent reads the fourth field of /proc/PID/stat; the second, the name in
// parentheses, may hold anything.
func parent(pid int) (int, error) {
	b, err := os.ReadFile(proc(pid, "stat"))
	if err != nil {
		return 0, err
	}
	rest := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(rest) < 2 {
		return 0, fmt.Errorf("process %d: stat cannot be read", pid)
	}
	return strconv.Atoi(rest[1])
}

// cpuTime adds up the nanoseconds that the scheduler gave to each thread, by
// /proc/PID/task/TID/schedstat: exact, where utime and stime count ticks. The
// time of a thread that has ended is lost; none of the measured programs ends
// threads under load.
func cpuTime(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(proc(pid, "task/*/schedstat"))
	if err != nil {
		return 0, err
	}
	if len(tasks) == 0 {
		return 0, fmt.Errorf("process %d is gone, or its schedstat cannot be read", pid)
	}
	var total time.Duration
	for _, path := range tasks {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // ended since the listing
		}
		first, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %v", path, err)
		}
		total += time.Duration(ns)
	}
	return total, nil
}

// memory reads VmRSS and VmHWM.
func memory(pid int) (rss, peak uint64, err error) {
	b, err := os.ReadFile(proc(pid, "status"))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "VmRSS:":
			rss, err = strconv.ParseUint(f[1], 10, 64)
		case "VmHWM:":
			peak, err = strconv.ParseUint(f[1], 10, 64)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("process %d: %v", pid, err)
		}
	}
	return rss << 10, peak << 10, nil
}
