package server_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// rolesOfMemory let alice and dana use shared memory; bob may do all but that.
const rolesOfMemory = `
roles:
  user: [ { models: ["*"], verbs: ["*"] } ]
  memory: [ { models: ["*"], verbs: [infer, shm] } ]
bindings:
  - { role: user, groups: [model-viewer] }
  - { role: memory, subjects: ["ISSUER#alice", "ISSUER#dana"] }
`

// segment makes a piece of shared memory and returns its key.
func segment(t *testing.T, name string) string {
	t.Helper()
	name = fmt.Sprintf("sluice-test-%d-%s", os.Getpid(), name)
	path := filepath.Join("/dev/shm", name)
	if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
		t.Skipf("no shared memory here: %v", err)
	}
	t.Cleanup(func() { _ = os.Remove(path) })
	return "/" + name
}

func (g *gateway) register(who, name, key string) error {
	g.t.Helper()
	_, err := g.SystemSharedMemoryRegister(g.as(who), &inference.SystemSharedMemoryRegisterRequest{Name: name, Key: key, ByteSize: 128})
	return err
}

func (g *gateway) unregister(who, name string) error {
	g.t.Helper()
	_, err := g.SystemSharedMemoryUnregister(g.as(who), &inference.SystemSharedMemoryUnregisterRequest{Name: name})
	return err
}

// regions are those that somebody sees.
func (g *gateway) regions(who string) []string {
	g.t.Helper()
	resp, err := g.SystemSharedMemoryStatus(g.as(who), &inference.SystemSharedMemoryStatusRequest{})
	if err != nil {
		g.t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(resp.GetRegions()))
}

// within is a request whose second input lies in a region, and whose output goes
// to one.
func within(input, output string) *inference.ModelInferRequest {
	r := add("simple")
	place := func(region string) map[string]*inference.InferParameter {
		return map[string]*inference.InferParameter{
			"shared_memory_region":    {ParameterChoice: &inference.InferParameter_StringParam{StringParam: region}},
			"shared_memory_byte_size": {ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: 64}},
		}
	}
	if input != "" {
		r.Inputs[1].Parameters, r.RawInputContents = place(input), r.RawInputContents[:1]
	}
	if output != "" {
		r.Outputs = []*inference.ModelInferRequest_InferRequestedOutputTensor{{Name: "OUTPUT0", Parameters: place(output)}}
	}
	return r
}

// TestSharedMemoryHasOneOwner who alone sees, uses and unregisters it.
func TestSharedMemoryHasOneOwner(t *testing.T) {
	g := start(t, setup{policy: rolesOfMemory})
	key := segment(t, "a")
	if err := g.register("alice", "hers", key); err != nil {
		t.Fatal(err)
	}
	if err := g.register("dana", "hers too", segment(t, "d")); err != nil {
		t.Fatal(err)
	}
	for _, request := range []*inference.ModelInferRequest{within("hers", ""), within("", "hers"), within("hers", "hers")} {
		if _, err := g.ModelInfer(g.as("alice"), request); err != nil {
			t.Errorf("her own: %v", err)
		}
		for who, want := range map[string]string{"dana": access.ReasonShmOwner, "bob": access.ReasonNoRole} {
			_, err := g.ModelInfer(g.as(who), request)
			wantRefusal(t, err, codes.PermissionDenied, want)
			answers, err := g.sendStream(g.as(who), encoded(t, request), encoded(t, add("simple")))
			if err != nil || len(answers) != 2 || streamReason(answers[0]) != want || answers[1].GetErrorMessage() != "" {
				t.Errorf("%s, in a stream: %v, %v", who, answers, err)
			}
		}
	}
	for name, err := range map[string]error{
		"her name":                  g.register("dana", "hers", segment(t, "x")),
		"her memory":                g.register("dana", "second", key),
		"her memory, more slashes":  g.register("dana", "third", "//"+key),
		"her memory, none":          g.register("dana", "fourth", key[1:]),
		"the Python backend's":      g.register("dana", "fifth", "/triton_python_backend_shm_region_1"),
		"unregistering her region":  g.unregister("dana", "hers"),
		"unregistering what is not": g.unregister("dana", "nothing"),
	} {
		if status.Code(err) != codes.PermissionDenied || reasonOf(err) != access.ReasonShmOwner {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := g.SystemSharedMemoryStatus(g.as("dana"), &inference.SystemSharedMemoryStatusRequest{Name: "hers"})
	wantRefusal(t, err, codes.NotFound, access.ReasonShmOwner)
	if a, d := g.regions("alice"), g.regions("dana"); !slices.Equal(a, []string{"hers"}) || !slices.Equal(d, []string{"hers too"}) {
		t.Errorf("alice sees %q, dana %q", a, d)
	}
	if err := g.unregister("dana", ""); err != nil {
		t.Fatal(err)
	}
	if a, d := g.regions("alice"), g.regions("dana"); !slices.Equal(a, []string{"hers"}) || len(d) > 0 {
		t.Errorf("after dana has unregistered all: alice sees %q, dana %q", a, d)
	}
	if err := g.unregister("alice", "hers"); err != nil {
		t.Fatal(err)
	}
	if err := g.register("dana", "hers", key); err != nil {
		t.Errorf("what alice has given up: %v", err)
	}
}

// TestNamesOfSharedMemory that mean something else to the server.
func TestNamesOfSharedMemory(t *testing.T) {
	b := backendstest.Listen(t, backendstest.Script{
		"SystemSharedMemoryRegister":   {backendstest.Receive(), backendstest.Send(&inference.SystemSharedMemoryRegisterResponse{})},
		"SystemSharedMemoryUnregister": {backendstest.Receive(), backendstest.Send(&inference.SystemSharedMemoryUnregisterResponse{})},
	})
	g := start(t, setup{policy: rolesOfMemory, backend: b.Addr})
	for name, err := range map[string]error{
		"no name, which means all when it is unregistered": g.register("dana", "", "/k"),
		"a key that a server reads up to its NUL":          g.register("dana", "r", "/k\x00x"),
		"a name of 1 MB": g.register("dana", strings.Repeat("x", 1<<20), "/k"),
	} {
		if status.Code(err) != codes.InvalidArgument || reasonOf(err) != access.ReasonMalformed {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := g.SystemSharedMemoryStatus(g.as("dana"), &inference.SystemSharedMemoryStatusRequest{Name: strings.Repeat("x", 1<<20)})
	if text := status.Convert(err).Message(); status.Code(err) != codes.NotFound || len(text) > 1000 {
		t.Errorf("%.300v", err)
	}
	if err := g.unregister("dana", ""); err != nil {
		t.Error(err)
	}
	for _, call := range b.Calls() {
		t.Error(call.Method, "reached the server")
	}
}

// TestSharedMemoryOfAFailedRegistration is nobody's.
func TestSharedMemoryOfAFailedRegistration(t *testing.T) {
	g := start(t, setup{policy: rolesOfMemory})
	if err := g.register("alice", "r", "/sluice-no-such-key"); status.Code(err) != codes.Internal {
		t.Fatal(err)
	}
	if err := g.register("dana", "r", segment(t, "r")); err != nil {
		t.Errorf("dana, after alice could not: %v", err)
	}
}

// TestUnloadDependents asks about each model that goes along, as the server has
// it now.
func TestUnloadDependents(t *testing.T) {
	configs := map[string]*inference.ModelConfig{
		"flow":  ensemble("flow", "inner", "mine"),
		"inner": ensemble("inner", "prod-simple"),
		"loop":  ensemble("loop", "loop", "mine"),
		"mine":  {Name: "mine"},
	}
	b := backendstest.Listen(t, backendstest.Script{
		"ModelConfig": {backendstest.Receive(), func(c *backendstest.Call) error {
			var req inference.ModelConfigRequest
			if err := decode(c, &req); err != nil {
				return err
			}
			if configs[req.GetName()] == nil {
				return status.Error(codes.NotFound, "Request for unknown model")
			}
			return backendstest.Send(&inference.ModelConfigResponse{Config: configs[req.GetName()]})(c)
		}},
		"RepositoryModelUnload": {backendstest.Receive(), backendstest.Send(&inference.RepositoryModelUnloadResponse{})},
	})
	g := start(t, setup{backend: b.Addr, policy: `
roles:
  all: [ { models: ["*"], verbs: ["*"] }, { models: ["prod-*"], verbs: [unload], deny: true } ]
  any: [ { models: ["*"], verbs: ["*"] } ]
bindings: [ { role: all, groups: [model-viewer] }, { role: any, groups: [model-admin] } ]
`})
	flag := func(with bool) *inference.ModelRepositoryParameter {
		return &inference.ModelRepositoryParameter{ParameterChoice: &inference.ModelRepositoryParameter_BoolParam{BoolParam: with}}
	}
	text := &inference.ModelRepositoryParameter{ParameterChoice: &inference.ModelRepositoryParameter_StringParam{StringParam: "true"}}
	for name, c := range map[string]struct {
		who, model string
		parameter  *inference.ModelRepositoryParameter
		denied     bool
	}{
		"with a step of a step that is not his":     {"bob", "flow", flag(true), true},
		"the same, not as a bool":                   {"bob", "flow", text, true},
		"the same, without its dependents":          {"bob", "flow", flag(false), false},
		"the same, and no word of dependents":       {"bob", "flow", nil, false},
		"the same, by who may":                      {"alice", "flow", flag(true), false},
		"a model that is its own step":              {"bob", "loop", flag(true), false},
		"a model without steps":                     {"bob", "mine", flag(true), false},
		"a model that the server doesn't know":      {"bob", "nope", flag(true), false},
		"a model that is not his, nor does it know": {"bob", "prod-x", flag(true), true},
	} {
		t.Run(name, func(t *testing.T) {
			req := &inference.RepositoryModelUnloadRequest{ModelName: c.model}
			if c.parameter != nil {
				req.Parameters = map[string]*inference.ModelRepositoryParameter{"unload_dependents": c.parameter}
			}
			_, err := g.RepositoryModelUnload(g.as(c.who), req)
			if c.denied {
				wantRefusal(t, err, codes.PermissionDenied, access.ReasonDeniedByRole)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	both := &inference.RepositoryModelUnloadRequest{ModelName: "mine", Parameters: map[string]*inference.ModelRepositoryParameter{"unload_dependents": flag(true)}}
	configs["mine"] = ensemble("mine", "prod-simple") // changed at the server, behind the gateway
	_, err := g.RepositoryModelUnload(g.as("bob"), both)
	wantRefusal(t, err, codes.PermissionDenied, access.ReasonDeniedByRole)
}

func ensemble(name string, steps ...string) *inference.ModelConfig {
	scheduling := &inference.ModelEnsembling{}
	for _, step := range steps {
		scheduling.Step = append(scheduling.Step, &inference.ModelEnsembling_Step{ModelName: step})
	}
	return &inference.ModelConfig{Name: name, SchedulingChoice: &inference.ModelConfig_EnsembleScheduling{EnsembleScheduling: scheduling}}
}
