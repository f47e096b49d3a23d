package report

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// Machine is where, when and with what the benchmark ran.
type Machine struct {
	When     time.Time `json:"when"`
	Commit   string    `json:"commit"`
	CPU      string    `json:"cpu"`
	Cores    int       `json:"cores"`
	Kernel   string    `json:"kernel"`
	MemTotal string    `json:"memory"`
	Go       string    `json:"go"`
	// Load is the load average before the run: 0 on an idle machine.
	Load string `json:"load_before"`
	// Versions of the peers, and on which cores targets and load ran.
	Versions    []string `json:"versions"`
	TargetCores string   `json:"target_cores"`
	LoadCores   string   `json:"load_cores"`
}

// ThisMachine reads /proc; what can't be read stays empty.
func ThisMachine(now time.Time) Machine {
	return Machine{
		When: now.UTC(), Cores: runtime.NumCPU(), Go: runtime.Version(),
		CPU:      field("/proc/cpuinfo", "model name"),
		MemTotal: field("/proc/meminfo", "MemTotal"),
		Kernel:   strings.TrimSpace(read("/proc/sys/kernel/osrelease")),
		Load:     first(read("/proc/loadavg")),
	}
}

func (m Machine) markdown(w io.Writer) {
	where := "all processes on all cores"
	if m.TargetCores != "" || m.LoadCores != "" {
		where = fmt.Sprintf("targets on cores %s, load and backend on %s", m.TargetCores, m.LoadCores)
	}
	fmt.Fprintf(w, "%s, commit %s. %d cores of %s, %s of memory, Linux %s, load average %s before; %s. %s, %s.\n\n",
		m.When.Format(time.DateOnly), m.Commit, m.Cores, m.CPU, m.MemTotal, m.Kernel, m.Load, where,
		m.Go, strings.Join(m.Versions, ", "))
}

func read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}

// field gives the value of the first line "name : value".
func field(path, name string) string {
	for line := range strings.Lines(read(path)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func first(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}
