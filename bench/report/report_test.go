package report_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/bench/hist"
	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/probe"
	"github.com/sluice-gateway/sluice/bench/report"
	"github.com/sluice-gateway/sluice/bench/scenario"
	"github.com/sluice-gateway/sluice/bench/target"
)

func find(t *testing.T, name string) scenario.Scenario {
	t.Helper()
	for _, s := range scenario.All(time.Second, time.Second) {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no scenario %q", name)
	return scenario.Scenario{}
}

// result is 1000 calls in 2 seconds that cost the proxy cpu microseconds each.
func result(cpu, p50 float64) load.Result {
	return load.Result{
		Calls: 1000, Seconds: 2, Latency: hist.Summary{Count: 1000, P50: p50},
		Idle:       probe.Sample{RSS: 10 << 20},
		Before:     probe.Sample{RSS: 11 << 20, CPU: time.Second},
		After:      probe.Sample{RSS: 51 << 20, Peak: 60 << 20, CPU: time.Second + time.Duration(cpu*1000)*time.Microsecond},
		Heap:       probe.Heap{Mallocs: 50000, Bytes: 4000000},
		BackendCPU: 20 * time.Millisecond,
	}
}

func TestFigures(t *testing.T) {
	tokens := result(100, 5)
	tokens.Calls, tokens.Tokens = 7, 10000
	direct := result(0, 5)
	direct.Idle, direct.Before, direct.After, direct.Heap = probe.Sample{}, probe.Sample{}, probe.Sample{}, probe.Heap{}
	tests := map[string]struct {
		scenario string
		result   load.Result
		want     report.Figures
	}{
		"calls": {scenario.Small16, result(120, 5), report.Figures{
			Rate: 500, P50: 5, CPU: 120, BackendCPU: 20, PeakMiB: 50, Allocs: 50, AllocBytes: 4000, KiBPerIdle: nan,
		}},
		"tokens": {scenario.Tokens, tokens, report.Figures{
			Rate: 5000, P50: 5, CPU: 10, BackendCPU: 2, PeakMiB: 50, Allocs: 5, AllocBytes: 400, KiBPerIdle: nan,
		}},
		"waiting streams": {scenario.Idle, result(120, 5), report.Figures{
			Rate: nan, P50: nan, P90: nan, P99: nan, P999: nan, CPU: nan, BackendCPU: nan,
			PeakMiB: 50, Allocs: nan, AllocBytes: nan, KiBPerIdle: 40 * 1024 / 1000.0,
		}},
		"no proxy": {scenario.Small1, direct, report.Figures{
			Rate: 500, P50: 5, CPU: nan, BackendCPU: 20, PeakMiB: nan, Allocs: nan, AllocBytes: nan, KiBPerIdle: nan,
		}},
		"nothing ended": {scenario.Small1, load.Result{Seconds: 1}, report.Figures{
			CPU: nan, BackendCPU: nan, PeakMiB: nan, Allocs: nan, AllocBytes: nan, KiBPerIdle: nan,
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := report.NewFigures(find(t, tt.scenario), tt.result)
			pairs := map[string][2]float64{
				"rate": {got.Rate, tt.want.Rate}, "p50": {got.P50, tt.want.P50}, "p99.9": {got.P999, tt.want.P999},
				"cpu": {got.CPU, tt.want.CPU}, "backend": {got.BackendCPU, tt.want.BackendCPU},
				"peak": {got.PeakMiB, tt.want.PeakMiB}, "allocs": {got.Allocs, tt.want.Allocs},
				"bytes": {got.AllocBytes, tt.want.AllocBytes}, "per stream": {got.KiBPerIdle, tt.want.KiBPerIdle},
			}
			for figure, p := range pairs {
				if math.IsNaN(p[0]) != math.IsNaN(p[1]) || !math.IsNaN(p[0]) && !near(p[0], p[1]) {
					t.Errorf("%s = %v, want %v", figure, p[0], p[1])
				}
			}
		})
	}
}

// example is two scenarios, three rounds, on a machine that slows down; Sluice
// costs 0.9 of the pipe in each round but adds twice its latency.
func example(t *testing.T) *report.Run {
	t.Helper()
	r := &report.Run{
		Machine: report.Machine{When: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Commit: "abc", CPU: "a CPU", Cores: 2},
		Targets: []report.About{{Name: target.Direct}, {Name: target.Pipe, Text: "does <nothing>"}, {Name: target.Sluice}},
		LeftOut: []report.About{{Name: target.Nginx, Text: "nginx is not installed"}},
		Rounds:  3,
	}
	for _, name := range []string{scenario.Small1, scenario.Small16} {
		r.Scenarios = append(r.Scenarios, find(t, name))
		for round := range r.Rounds {
			slow := float64(round + 1)
			direct := result(0, 100*slow)
			direct.Idle, direct.After, direct.Before = probe.Sample{}, probe.Sample{}, probe.Sample{}
			for i, res := range []load.Result{direct, result(100*slow, 200*slow), result(90*slow, 300*slow)} {
				r.Cells = append(r.Cells, report.Cell{
					Scenario: name, Target: r.Targets[i].Name, Round: round, Result: res,
				})
			}
		}
	}
	return r
}

func TestJudge(t *testing.T) {
	held := example(t).Judge()
	if len(held) != 2 {
		t.Fatalf("%d bars could be judged, want 2: %+v", len(held), held)
	}
	cpu, added := held[0], held[1]
	if cpu.Bar.Base != target.Pipe || !near(cpu.Value.Median, 0.9) || !near(cpu.Value.Q1, 0.9) || !cpu.Met {
		t.Errorf("CPU against the pipe: %+v", cpu)
	}
	if added.Bar.Less != target.Direct || !near(added.Value.Median, 2) || added.Met {
		t.Errorf("latency added, against the pipe: %+v", added)
	}
}

// What Sluice adds to a server's own time has no base: it is held to microseconds.
func TestJudgeWhatIsAdded(t *testing.T) {
	r := &report.Run{Rounds: 1, Scenarios: []scenario.Scenario{find(t, scenario.First), find(t, scenario.MiB16)}}
	add := func(scenario, target string, res load.Result) {
		r.Targets = append(r.Targets, report.About{Name: target})
		r.Cells = append(r.Cells, report.Cell{Scenario: scenario, Target: target, Result: res})
	}
	add(scenario.First, target.VLLM, result(0, 5000))
	add(scenario.First, target.SluiceVLLM, result(100, 5600))
	add(scenario.First, target.SluiceTGI, result(100, 7600))
	grpc, rest := result(100, 1), result(150, 1)
	rest.After.Peak += 40 << 20
	add(scenario.MiB16, target.Sluice, grpc)
	add(scenario.MiB16, target.SluiceREST, rest)
	got := map[string]float64{}
	met := map[string]bool{}
	for _, h := range r.Judge() {
		got[h.Bar.What], met[h.Bar.What] = h.Value.Median, h.Met
	}
	for what, want := range map[string]struct {
		value float64
		met   bool
	}{
		"vLLM: p50 µs added to the first token":                {600, true},
		"TGI: p50 µs added to the first token":                 {2600, false},
		"REST: CPU per 16 MiB infer in binary":                 {1.5, false},
		"REST: peak MiB over gRPC's, 16 MiB infers, 2 callers": {40, false},
	} {
		if !near(got[what], want.value) || met[what] != want.met {
			t.Errorf("%s: %v, met %v", what, got[what], met[what])
		}
	}
	if len(got) != 4 {
		t.Errorf("judged %v", got)
	}
	if md := r.Markdown(); !strings.Contains(md, "| over vllm | 2000 | 600 (600–600) | met |") {
		t.Errorf("the page:\n%s", md)
	} else if _, first, _ := strings.Cut(md, "### first-token"); strings.Contains(first[:strings.Index(first, "### 16MiB")], "| sluice-rest |") {
		t.Error("a target without a turn has a row")
	}
}

func TestErrorsSpoilTheirRound(t *testing.T) {
	r := example(t)
	for i := range r.Cells {
		c := &r.Cells[i]
		if c.Target != target.Sluice || c.Scenario != scenario.Small16 {
			continue
		}
		switch c.Round {
		case 0:
			c.Result.Errors, c.Result.FirstError = 3, "refused"
		case 1:
			c.Failed = "did not start"
		}
	}
	if got := r.Errors(); len(got) != 2 || !strings.Contains(got[0], "refused") || !strings.Contains(got[1], "did not start") {
		t.Errorf("errors %q", got)
	}
	if held := r.Judge(); held[0].Value.N != 1 {
		t.Errorf("judged by %d rounds, want the one without errors", held[0].Value.N)
	}
	if md := r.Markdown(); !strings.Contains(md, "small-16, sluice: refused") {
		t.Error("the page hides the error")
	}
}

func TestMarkdown(t *testing.T) {
	md := example(t).Markdown()
	for _, want := range []string{
		"2026-01-02, commit abc. 2 cores of a CPU",
		"| nginx | **left out**: nginx is not installed |",
		"| CPU per small infer, 16 callers | go-pipe | 1.00 × | 0.90 × (0.90–0.90) | met |",
		"| p50 added to a small infer, 1 caller | go-pipe | 1.15 × | 2.00 × (2.00–2.00) | **missed** |",
		"### small-16: ",
		"| sluice | 500 | 600 |", // medians of the three rounds
		" 0.90 (0.90–0.90) |",
	} {
		if !strings.Contains(md, want) {
			t.Errorf("no %q in:\n%s", want, md)
		}
	}
	for line := range strings.Lines(md) {
		if strings.HasPrefix(line, "| direct | 500 |") && strings.Count(line, "–") < 2 {
			t.Errorf("the direct path has no proxy to measure: %s", line)
		}
		if strings.Contains(line, "NaN") {
			t.Errorf("not a number: %s", line)
		}
	}
}

func TestJSON(t *testing.T) {
	text, err := example(t).JSON()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Bars []struct {
			Met      bool          `json:"met"`
			Measured report.Spread `json:"measured"`
		} `json:"bars"`
		Scenarios []struct {
			Name    string `json:"name"`
			Targets map[string]struct {
				Metrics map[string]report.Spread `json:"metrics"`
				Ratio   report.Spread            `json:"ratio_to_go_pipe"`
			} `json:"targets"`
		} `json:"scenarios"`
		Cells []report.Cell `json:"cells"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Bars) != 2 || !doc.Bars[0].Met || len(doc.Cells) != 18 {
		t.Errorf("%d bars, %d cells", len(doc.Bars), len(doc.Cells))
	}
	sluice := doc.Scenarios[1].Targets[target.Sluice]
	if !near(sluice.Metrics["cpu_us"].Median, 180) || !near(sluice.Ratio.Median, 0.9) {
		t.Errorf("sluice in %s: %+v", doc.Scenarios[1].Name, sluice)
	}
	if _, ok := doc.Scenarios[0].Targets[target.Direct].Metrics["cpu_us"]; ok {
		t.Error("the direct path has a proxy's CPU")
	}
}

func TestSVGIsXML(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(example(t).SVG()))
	bars := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if want := 1 + 2*2; bars != want { // the background, and two proxies in two panels
		t.Errorf("%d rectangles, want %d", bars, want)
	}
}

func TestInsert(t *testing.T) {
	page := "# Title\n" + report.Begin + "\nold\n" + report.End + "\nrest\n"
	got, err := report.Insert(page, "\nnew\n\n")
	if want := "# Title\n" + report.Begin + "\nnew\n" + report.End + "\nrest\n"; err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	for name, page := range map[string]string{
		"no markers": "text\n", "no end": report.Begin + "\nx\n", "wrong order": report.End + "\n" + report.Begin + "\n",
	} {
		if got, err := report.Insert(page, "new"); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestWriteAndPublish(t *testing.T) {
	dir := t.TempDir()
	r := example(t)
	page := filepath.Join(dir, "PAGE.md")
	if err := r.Publish(page); err == nil {
		t.Error("published into a page that is not there")
	}
	if err := os.WriteFile(page, []byte("# P\n\n"+report.Begin+"\n"+report.End+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Publish(page); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"PAGE.md": "](performance.svg)", report.TableFile: "### small-1", report.JSONFile: `"rounds": 3`, report.PlotFile: "<svg",
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v, without %q", name, err, want)
		}
	}
}

func TestBarsNameWhatIsThere(t *testing.T) {
	targets := map[string]bool{"": true}
	for _, tt := range target.All() {
		targets[tt.Name] = true
	}
	for _, b := range report.Bars() {
		find(t, b.Scenario)
		if !targets[b.Base] {
			t.Errorf("%s: no target %q", b.What, b.Base)
		}
	}
}

// What a record adds is of microseconds; a call that waits, of memory and of the
// time to its release.
func TestJudgeRecordsAndHeldCalls(t *testing.T) {
	r := &report.Run{Rounds: 1, Scenarios: []scenario.Scenario{find(t, scenario.Small16), find(t, scenario.Held)}}
	add := func(scenario, target string, res load.Result) {
		r.Cells = append(r.Cells, report.Cell{Scenario: scenario, Target: target, Result: res})
	}
	add(scenario.Small16, target.Sluice, result(60, 1))
	add(scenario.Small16, target.SluiceAudit, result(75, 1))
	add(scenario.Small16, target.SluiceGuard, result(66, 1))
	held := result(1, 1)
	held.Released = 2500 * time.Millisecond
	add(scenario.Held, target.SluiceHold, held)
	got := map[string]report.Held{}
	for _, h := range r.Judge() {
		got[h.Bar.What] = h
	}
	for what, want := range map[string]struct {
		value float64
		met   bool
	}{
		"recorded: CPU µs added to a small infer, 16 callers":            {15, true},
		"guard on parameters: CPU µs added to a small infer, 16 callers": {6, false},
		"KiB of a held call":                              {40 * 1024 / 1000.0, true},
		"ms from an approval to the last of 1000 answers": {2500, false},
	} {
		if h := got[what]; !near(h.Value.Median, want.value) || h.Met != want.met {
			t.Errorf("%s: %v, met %v", what, h.Value.Median, h.Met)
		}
	}
	if len(got) != 4 {
		t.Errorf("judged %v", got)
	}
}

func TestThisMachine(t *testing.T) {
	m := report.ThisMachine(time.Now())
	if m.Cores < 1 || m.Go == "" || m.When.IsZero() {
		t.Errorf("machine %+v", m)
	}
}
