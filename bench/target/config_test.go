package target

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gateway/sluice/bench/scenario"
)

// testLauncher is of a backend that nobody asks, and programs of bin.
func testLauncher(t *testing.T, bin string) *launcher {
	t.Helper()
	l, err := newLauncher(Target{Name: "test"}, Setting{
		Bin: bin, Dir: t.TempDir(), CPUs: 3, Backend: "127.0.0.1:9999",
		Identity: &Identity{Issuer: "https://issuer.example", Audience: "sluice", Group: "ml-users", JWKS: "/tmp/jwks.json"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func rendered(t *testing.T, l *launcher, name string) string {
	t.Helper()
	path, err := l.render(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// envoys are the ways in which Envoy is configured.
var envoys = map[string]Config{
	"plain":        {},
	"jwt and rbac": {JWT: true, RBAC: true},
	"ext_proc":     {JWT: true, ExtProc: true},
	"both ways":    {JWT: true, ExtProc: true, ExtProcAnswers: true},
}

func TestEnvoyConfig(t *testing.T) {
	const jwt, cache, rbac, extproc = "jwt_authn.v3.JwtAuthentication", "jwt_cache_size", "rbac.v3.RBAC", "ext_proc.v3.ExternalProcessor"
	want := map[string]map[string]bool{
		"plain":        {jwt: false, rbac: false, extproc: false},
		"jwt and rbac": {jwt: true, cache: true, rbac: true, extproc: false},
		"ext_proc":     {jwt: true, cache: true, rbac: false, extproc: true, "response_body_mode: NONE": true},
		"both ways":    {jwt: true, extproc: true, "response_body_mode: STREAMED": true},
	}
	for name, with := range envoys {
		t.Run(name, func(t *testing.T) {
			l := testLauncher(t, "")
			l.JWT, l.RBAC, l.ExtProc, l.ExtProcAnswers = with.JWT, with.RBAC, with.ExtProc, with.ExtProcAnswers
			text := rendered(t, l, "envoy.yaml")
			var doc map[string]any
			if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
				t.Fatalf("not YAML: %v\n%s", err, text)
			}
			want[name][l.Config.JWKS] = with.JWT
			want[name]["port_value: "+strconv.Itoa(l.ExtProcPort)] = with.ExtProc
			want[name]["port_value: 9999"] = true
			want[name]["access_log"] = false
			for part, there := range want[name] {
				if strings.Contains(text, part) != there {
					t.Errorf("has %q: %v, want %v", part, !there, there)
				}
			}
		})
	}
}

// newKind has Sluice's configuration written for the target of that name, and
// nothing started.
func newKind(t *testing.T, name string) *launcher {
	t.Helper()
	l := testLauncher(t, t.TempDir())
	l.Config.LLM = "127.0.0.1:9998"
	if err := byName(t, name).launch(l); err == nil {
		t.Fatal("started a program that is not there")
	}
	return l
}

func TestDoors(t *testing.T) {
	const triton, web = `type: triton, addresses: ["127.0.0.1:9999"]`, `["http://127.0.0.1:9998"]`
	for name, want := range map[string]struct{ backend, rest string }{
		Sluice:     {triton, `rest: "off"`},
		SluiceREST: {triton, `rest: "127.0.0.1:`},
		SluiceVLLM: {"type: vllm, addresses: " + web, `rest: "off"`},
		SluiceTGI:  {"type: tgi, addresses: " + web, `rest: "off"`},
	} {
		l := newKind(t, name)
		b, err := os.ReadFile(filepath.Join(l.Config.Dir, "sluice.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), want.backend) || !strings.Contains(string(b), want.rest) {
			t.Errorf("%s:\n%s", name, b)
		}
		if isREST := name == SluiceREST; isREST != (l.door(byName(t, name)) == l.RESTAddress()) || isREST == (l.door(byName(t, name)) == l.Address()) {
			t.Errorf("%s is asked at %s", name, l.door(byName(t, name)))
		}
	}
	l := newKind(t, Sluice)
	if got := l.door(byName(t, VLLM)) + " " + l.door(byName(t, Direct)); got != "127.0.0.1:9998 127.0.0.1:9999" {
		t.Errorf("servers are asked at %s", got)
	}
}

func TestTakes(t *testing.T) {
	for _, tt := range []struct {
		target, scenario string
		want             bool
	}{
		{Sluice, scenario.Small1, true},
		{Sluice, scenario.First, true},
		{SluiceREST, scenario.Small16, true},
		{SluiceREST, scenario.Idle, false},
		{SluiceVLLM, scenario.Tokens, true},
		{SluiceTGI, scenario.Small16, false},
		{VLLM, scenario.Tokens, false},
		{EnvoyExtProc, scenario.Idle, false},
		{SluiceHold, scenario.Held, true},
		{SluiceHold, scenario.Small16, false},
		{Sluice, scenario.Held, false},
		{SluiceAudit, scenario.Paced, true},
		{SluiceAudit, scenario.Unique, true},
		{Sluice, scenario.Unique, false},
	} {
		if got := byName(t, tt.target).Takes(tt.scenario); got != tt.want {
			t.Errorf("%s in %s: %v", tt.target, tt.scenario, got)
		}
	}
}

// What is on is all in which two of them differ.
func TestMoreOfSluice(t *testing.T) {
	const (
		off, on, said = `audit: { sqlite: "off" }`, "audit: { sqlite: audit.db }", "payloads: masked"
		guards, other = `models: ["bench"], when:`, `models: ["prod-*"], when:`
		holds, store  = "approve: { by: [", "store:"
	)
	for name, want := range map[string][]string{
		Sluice:         {off},
		SluiceAudit:    {on},
		SluicePayloads: {said, store, "masking:"},
		SluiceGuard:    {off, guards},
		SluiceUnguard:  {off, other},
		SluiceHold:     {off, holds, store},
	} {
		l := newKind(t, name)
		text := rendered(t, l, "sluice.yaml") + rendered(t, l, "policy.yaml")
		for _, part := range []string{off, on, said, guards, other, holds, store, "masking:"} {
			if strings.Contains(text, part) != slices.Contains(want, part) {
				t.Errorf("%s: %q there: %v\n%s", name, part, strings.Contains(text, part), text)
			}
		}
		if (l.ConsoleAddress() == "off") != (name != SluiceHold) {
			t.Errorf("%s: its own API at %s", name, l.ConsoleAddress())
		}
		if _, err := os.Stat(filepath.Join(l.Config.Dir, "sluice.key")); (err == nil) != (name == SluicePayloads) {
			t.Errorf("%s: a key: %v", name, err)
		}
	}
}

func TestSluiceConfig(t *testing.T) {
	l := newKind(t, Sluice)
	var doc struct {
		Server   map[string]string
		Identity struct {
			OIDC []struct {
				Issuer, JWKS string
				Audiences    []string
			}
		}
		Backends []struct {
			Type      string
			Addresses []string
		}
		Policy []string
	}
	if err := yaml.Unmarshal([]byte(rendered(t, l, "sluice.yaml")), &doc); err != nil {
		t.Fatal(err)
	}
	oidc := doc.Identity.OIDC[0]
	if oidc.JWKS != "file:"+l.Config.JWKS || oidc.Issuer != l.Issuer || oidc.Audiences[0] != l.Audience {
		t.Errorf("identity %+v", oidc)
	}
	if doc.Server["grpc"] != l.Address() || doc.Backends[0].Addresses[0] != "127.0.0.1:9999" {
		t.Errorf("server %v, backends %v", doc.Server, doc.Backends)
	}
	if policy := rendered(t, l, doc.Policy[0]); !strings.Contains(policy, `groups: ["`+l.Group+`"]`) {
		t.Errorf("policy without the caller's group:\n%s", policy)
	}
}

func TestPlainConfigs(t *testing.T) {
	for name, parts := range map[string][]string{
		"nginx.conf":  {"worker_processes 3;", "server 127.0.0.1:9999;", "access_log off;", "http2_max_concurrent_streams 1000;"},
		"haproxy.cfg": {"nbthread 3", "server one 127.0.0.1:9999 proto h2", "max-concurrent-streams 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			l := testLauncher(t, "")
			text := rendered(t, l, name)
			for _, part := range append(parts, l.Address()) {
				if !strings.Contains(text, part) {
					t.Errorf("no %q in:\n%s", part, text)
				}
			}
		})
	}
}

func TestRenderUnknown(t *testing.T) {
	if path, err := testLauncher(t, "").render("apache.conf"); err == nil {
		t.Errorf("rendered %s", path)
	}
}

// installed is where bench/install.sh and bench/run.sh put the programs.
func installed(t *testing.T, program string) string {
	t.Helper()
	bin, err := filepath.Abs("../../.bench/bin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(bin, program)); err != nil {
		t.Skipf("left out: %s is not installed", program)
	}
	return bin
}

// TestPeersTakeTheirConfigs asks each installed peer whether it reads what is
// written for it.
func TestPeersTakeTheirConfigs(t *testing.T) {
	id, err := NewIdentity(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, with Config, program, file string, args ...string) {
		t.Helper()
		l := testLauncher(t, installed(t, program))
		l.JWT, l.RBAC, l.ExtProc, l.ExtProcAnswers = with.JWT, with.RBAC, with.ExtProc, with.ExtProcAnswers
		l.Config.JWKS = id.JWKS
		path, err := l.render(file)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), filepath.Join(l.Bin, program), append(args, path)...)
		cmd.Dir = l.Config.Dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	for name, with := range envoys {
		t.Run("envoy "+name, func(t *testing.T) {
			check(t, with, "envoy", "envoy.yaml", "--mode", "validate", "--log-level", "error", "-c")
		})
	}
	t.Run("nginx", func(t *testing.T) {
		check(t, Config{}, "nginx", "nginx.conf", "-t", "-e", "error.log", "-p", ".", "-c")
	})
	t.Run("haproxy", func(t *testing.T) { check(t, Config{}, "haproxy", "haproxy.cfg", "-c", "-f") })
}
