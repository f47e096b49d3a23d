package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/bench/scenario"
	"github.com/sluice-gateway/sluice/bench/target"
)

// options are the flags of bench run.
type options struct {
	bin, out, publish, commit string
	rounds                    int
	warmup, duration, limit   time.Duration
	targets, scenarios        string
	cores, loadCores          string
	smoke                     bool
}

// A smoke run only shows that everything works: the least of each.
const (
	smokeWarmup   = 50 * time.Millisecond
	smokeDuration = 300 * time.Millisecond
)

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench run", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.bin, "bin", ".bench/bin", "folder of the targets' programs")
	f.StringVar(&o.out, "out", ".bench/out", "folder for tables, JSON, plot, configurations and logs")
	f.StringVar(&o.publish, "publish", "", "Markdown page to put the tables into, with JSON and plot beside it")
	f.StringVar(&o.commit, "commit", "unknown", "what is measured")
	f.IntVar(&o.rounds, "rounds", 5, "rounds of each scenario")
	f.DurationVar(&o.warmup, "warmup", time.Second, "unmeasured load before each measurement")
	f.DurationVar(&o.duration, "duration", 3*time.Second, "length of each measurement")
	f.DurationVar(&o.limit, "limit", 2*time.Hour, "end of the whole run, come what may")
	f.StringVar(&o.targets, "targets", "", "only these targets, separated by commas")
	f.StringVar(&o.scenarios, "scenarios", "", "only these scenarios, separated by commas")
	f.StringVar(&o.cores, "cores", "", "cores of the targets, as taskset lists them; all if empty")
	f.StringVar(&o.loadCores, "load-cores", "", "cores of load generator and backend")
	f.BoolVar(&o.smoke, "smoke", false, "one short round that only shows that everything works")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.smoke {
		o.rounds, o.warmup, o.duration = 1, smokeWarmup, smokeDuration
	}
	if o.rounds < 1 {
		return o, errors.New("rounds must be positive")
	}
	if _, err := exec.LookPath("taskset"); err != nil && o.cores+o.loadCores != "" {
		return o, fmt.Errorf("cores cannot be chosen: %w", err)
	}
	return o, nil
}

// chosen gives those of all that the list names; an unknown name is an error.
func chosen[T any](all []T, list string, name func(T) string) ([]T, error) {
	if list == "" {
		return all, nil
	}
	var out []T
	for _, want := range strings.Split(list, ",") {
		i := slices.IndexFunc(all, func(t T) bool { return name(t) == want })
		if i < 0 {
			var known []string
			for _, t := range all {
				known = append(known, name(t))
			}
			return nil, fmt.Errorf("unknown name %q, known are %s", want, strings.Join(known, ", "))
		}
		out = append(out, all[i])
	}
	return out, nil
}

func targetName(t target.Target) string       { return t.Name }
func scenarioName(s scenario.Scenario) string { return s.Name }

// countCores counts the cores of a list as taskset takes it: "0,2-3".
func countCores(list string) (int, error) {
	if list == "" {
		return runtime.NumCPU(), nil
	}
	n := 0
	for _, part := range strings.Split(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("cores %q: %w", list, err)
		}
		last, err := strconv.ParseUint(to, 10, 16)
		if err != nil || last < first {
			return 0, fmt.Errorf("cores %q: bad range", list)
		}
		n += int(last - first + 1)
	}
	return n, nil
}
