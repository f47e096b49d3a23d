package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/probe"
	"github.com/sluice-gateway/sluice/bench/scenario"
)

// Names of the targets that the bars speak of.
const (
	Direct       = "direct"
	Pipe         = "go-pipe"
	Sluice       = "sluice"
	EnvoyPlain   = "envoy"
	EnvoyJWT     = "envoy-jwt-rbac"
	EnvoyExtProc = "envoy-extproc"
	EnvoyBoth    = "envoy-extproc-both"
	Nginx        = "nginx"
	HAProxy      = "haproxy"

	// Other doors of Sluice, and other servers behind it.
	SluiceREST = "sluice-rest"
	VLLM       = "vllm" // the server itself, without Sluice
	SluiceVLLM = "sluice-vllm"
	SluiceTGI  = "sluice-tgi"

	// Sluice with more of it on.
	SluiceAudit    = "sluice-audit"
	SluicePayloads = "sluice-payloads"
	SluiceGuard    = "sluice-guard"
	SluiceUnguard  = "sluice-guard-elsewhere"
	SluiceHold     = "sluice-hold"
)

// Target is one way from the load generator to the backend.
type Target struct {
	Name string
	// Does says in a few words what it does on the way.
	Does string
	// Decides tells whether it refuses who may not infer.
	Decides bool
	// Door is how it is asked; Prompt, that its model takes prompts and nothing else.
	Door   load.Door
	Prompt bool
	// needs are the programs, of the bin folder, without which it is left out.
	needs []string
	// cannot says why the target cannot serve the scenario of that name.
	cannot map[string]string
	// only are the scenarios that it is for; empty for all.
	only []string
	// launch writes the configuration and starts the processes.
	launch func(*launcher) error
}

// All gives the targets, in the order in which they take their turns.
func All() []Target { return slices.Concat(plain(), doors(), fuller()) }

// plain are Sluice with what calls always pass, and what others put in its place.
func plain() []Target {
	return []Target{
		{Name: Direct, Does: "no proxy", launch: func(*launcher) error { return nil }},
		{Name: Pipe, Does: "grpc-go, raw codec, untuned; does nothing", needs: []string{"pipe"}, launch: pipe},
		{
			Name: Sluice, Does: "token, policy on verb and model, metrics, call log",
			needs: []string{"sluice"}, launch: sluice(Config{Kind: "triton"}),
		},
		{Name: EnvoyPlain, Does: "does nothing", needs: []string{"envoy"}, launch: envoy(Config{})},
		{
			Name: EnvoyJWT, Does: "token (cached), rule on path and group", Decides: true,
			needs: []string{"envoy"}, launch: envoy(Config{JWT: true, RBAC: true}),
		},
		{
			Name: EnvoyExtProc, Does: "token (cached), external processor decides on the request's body", Decides: true,
			needs: []string{"envoy", "extproc"}, cannot: needsHalfClose,
			launch: envoy(Config{JWT: true, ExtProc: true}),
		},
		{
			Name: EnvoyBoth, Does: "the same, and the processor is shown the answer's body", Decides: true,
			needs: []string{"envoy", "extproc"}, cannot: needsHalfClose,
			launch: envoy(Config{JWT: true, ExtProc: true, ExtProcAnswers: true}),
		},
		{Name: Nginx, Does: "grpc_pass; does nothing", needs: []string{"nginx"}, launch: nginx},
		{Name: HAProxy, Does: "does nothing", needs: []string{"haproxy"}, launch: haproxy},
	}
}

// doors are other doors of Sluice, and other servers behind it.
func doors() []Target {
	return []Target{
		{
			Name: SluiceREST, Does: "the same as sluice, asked over REST", Door: load.REST,
			needs: []string{"sluice"}, launch: sluice(Config{Kind: "triton", REST: true}),
			only: []string{scenario.Small16, scenario.MiB16, scenario.Tokens, scenario.Paced, scenario.First},
		},
		{
			Name: VLLM, Does: "no proxy: the double of vLLM, asked by HTTP", Door: load.Completions,
			launch: func(*launcher) error { return nil }, only: []string{scenario.First},
		},
		{
			Name: SluiceVLLM, Does: "the same as sluice, before the double of vLLM", Prompt: true,
			needs: []string{"sluice"}, launch: sluice(Config{Kind: "vllm", HTTP: true}), only: generated,
		},
		{
			Name: SluiceTGI, Does: "the same as sluice, before a double of TGI", Prompt: true,
			needs: []string{"sluice"}, launch: sluice(Config{Kind: "tgi", HTTP: true}), only: generated,
		},
	}
}

// fuller are Sluice with more of it on.
func fuller() []Target {
	return []Target{
		{
			Name: SluiceAudit, Does: "the same as sluice, and calls are recorded in SQLite", needs: []string{"sluice"},
			launch: sluice(Config{Kind: "triton", Audit: true}),
			only:   []string{scenario.Small1, scenario.Small16, scenario.MiB16, scenario.Tokens, scenario.Unique, scenario.Paced},
		},
		{
			Name: SluicePayloads, Does: "the same as sluice-audit, with all that is said, masked", needs: []string{"sluice"},
			launch: sluice(Config{Kind: "triton", Audit: true, Payloads: true}),
			only:   []string{scenario.Small16, scenario.Tokens, scenario.Unique},
		},
		{
			Name: SluiceGuard, Does: "the same as sluice, and a guard looks at each request's parameters", needs: []string{"sluice"},
			launch: sluice(Config{Kind: "triton", Guarded: scenario.Model}), only: guarded,
		},
		{
			Name: SluiceUnguard, Does: "the same as sluice, with that guard on other models", needs: []string{"sluice"},
			launch: sluice(Config{Kind: "triton", Guarded: "prod-*"}), only: guarded,
		},
		{
			Name: SluiceHold, Does: "calls wait for an approver, in a store in SQLite", needs: []string{"sluice"},
			launch: sluice(Config{Kind: "triton", Hold: true}), only: []string{scenario.Held},
		},
	}
}

// guarded are the scenarios whose requests are small enough for a guard to show.
var guarded = []string{scenario.Small1, scenario.Small16, scenario.Tokens}

// generated are the scenarios of servers that stream text.
var generated = []string{scenario.Tokens, scenario.Paced, scenario.First}

// Takes tells whether t has a turn in the scenario.
func (t Target) Takes(name string) bool {
	if len(t.only) == 0 {
		// The one needs somebody who holds, the other somebody who indexes words.
		return t.Cannot(name) == "" && name != scenario.Held && name != scenario.Unique
	}
	return slices.Contains(t.only, name)
}

// needsHalfClose is what a buffered body cannot do.
var needsHalfClose = map[string]string{
	scenario.Idle: "a buffered request goes on only when the client has sent all of it",
}

// Cannot says why t cannot serve the scenario, or "".
func (t Target) Cannot(scenario string) string { return t.cannot[scenario] }

// Missing names the first program that t needs and bin does not hold, or "".
func (t Target) Missing(bin string) string {
	for _, name := range t.needs {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return name
		}
	}
	return ""
}

// Setting is what all targets have in common.
type Setting struct {
	Bin      string // folder of the programs
	Dir      string // folder for configurations and logs
	Cores    string // as taskset lists them, "" for all
	CPUs     int    // their number
	Backend  string // the backend's address
	LLM      string // the address at which it speaks as vLLM and TGI do
	Identity *Identity
	// Ready makes one call to the target at the address and gives what went wrong.
	Ready func(ctx context.Context, t Target, address string) error
}

// Running is a target that answers.
type Running struct {
	Address string
	Console string     // where Sluice's own API answers, if it does
	Probe   probe.Spec // without processes for [Direct]
	procs   []*process
	dir     string
}

// Start starts t and waits until it answers. On Linux it must be called on
// the main thread, which lives as long as the processes may.
func Start(ctx context.Context, t Target, s Setting) (*Running, error) {
	l, err := newLauncher(t, s)
	if err != nil {
		return nil, err
	}
	r := &Running{Address: l.door(t), dir: l.Config.Dir}
	err = t.launch(l)
	r.procs, r.Console = l.procs, l.ConsoleAddress()
	if err == nil {
		err = waitReady(ctx, l.procs, func(ctx context.Context) error { return s.Ready(ctx, t, r.Address) })
	}
	if err != nil {
		r.Stop()
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	for _, p := range l.procs {
		r.Probe.PIDs = append(r.Probe.PIDs, p.pid())
	}
	r.Probe.HeapURL = l.heapURL
	return r, nil
}

// Stop ends the processes, the first to be started last.
func (r *Running) Stop() {
	for i := len(r.procs) - 1; i >= 0; i-- {
		r.procs[i].stop()
	}
}

var errNoCPUs = errors.New("a target needs at least one core")

// Remove removes the target's folder: its call log alone may be large.
func (r *Running) Remove() error { return os.RemoveAll(r.dir) }

// StartBackend starts the backend, which is the benchmark's own program, on
// the given cores, and gives it and the address at which it speaks HTTP.
func StartBackend(ctx context.Context, s Setting, self, cores string) (r *Running, llm string, err error) {
	var ports [2]int
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return nil, "", err
		}
	}
	r = &Running{Address: fmt.Sprintf("127.0.0.1:%d", ports[0])}
	llm = fmt.Sprintf("127.0.0.1:%d", ports[1])
	p, err := start(s.Dir, cores, self, "backend", "-listen", r.Address, "-listen-llm", llm)
	if err != nil {
		return nil, "", err
	}
	r.procs, r.Probe.PIDs = []*process{p}, []int{p.pid()}
	if err := waitReady(ctx, r.procs, func(ctx context.Context) error { return s.Ready(ctx, Target{}, r.Address) }); err != nil {
		r.Stop()
		return nil, "", fmt.Errorf("backend: %w", err)
	}
	return r, llm, nil
}
