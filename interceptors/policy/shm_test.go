package policy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// using is a request with an input, or an output, in a region.
func using(where, region string) *pb.ModelInferRequest {
	at := params("shared_memory_region", &pb.InferParameter{ParameterChoice: &pb.InferParameter_StringParam{StringParam: region}})
	m := &pb.ModelInferRequest{ModelName: "m"}
	if where == "input" {
		m.Inputs = []*pb.ModelInferRequest_InferInputTensor{{Name: "plain"}, {Name: "x", Parameters: at}}
	} else {
		m.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "plain"}, {Name: "x", Parameters: at}}
	}
	return m
}

func TestARegionHasOneOwner(t *testing.T) {
	alice, bob := may("alice", access.Shm, access.Infer), may("bob", access.Shm, access.Infer)
	inferOnly := may("carol", access.Infer)
	register := func(name, key string) proto.Message {
		return &pb.SystemSharedMemoryRegisterRequest{Name: name, Key: key, ByteSize: 64}
	}
	for _, c := range []struct {
		name    string
		who     *access.Principal
		method  string
		message proto.Message
		kind    access.ErrorKind // of the refusal; 0 with reason "" is none
		reason  string
	}{
		{"its owner uses it as input", alice, "ModelInfer", using("input", "r"), 0, ""},
		{"its owner uses it as output", alice, "ModelInfer", using("output", "r"), 0, ""},
		{"another uses it as input", bob, "ModelInfer", using("input", "r"), access.PermissionDenied, access.ReasonShmOwner},
		{"another uses it as output", bob, "ModelInfer", using("output", "r"), access.PermissionDenied, access.ReasonShmOwner},
		{"who may not use shared memory at all", inferOnly, "ModelInfer", using("input", "r"), access.PermissionDenied, access.ReasonNoRole},
		{"a region of unknown owner", alice, "ModelInfer", using("input", "left from before"), access.PermissionDenied, access.ReasonShmOwner},
		{"another registers its name", bob, "SystemSharedMemoryRegister", register("r", "/other"), access.PermissionDenied, access.ReasonShmOwner},
		{"another registers its name as CUDA", bob, "CudaSharedMemoryRegister", &pb.CudaSharedMemoryRegisterRequest{Name: "r", RawHandle: []byte("h")}, access.PermissionDenied, access.ReasonShmOwner},
		{"another registers its key under a name of his own", bob, "SystemSharedMemoryRegister", register("mine", "/key"), access.PermissionDenied, access.ReasonShmOwner},
		{"the same key without its slash", bob, "SystemSharedMemoryRegister", register("mine", "key"), access.PermissionDenied, access.ReasonShmOwner},
		{"the same key with two", bob, "SystemSharedMemoryRegister", register("mine", "//key"), access.PermissionDenied, access.ReasonShmOwner},
		{"its owner registers the key twice", alice, "SystemSharedMemoryRegister", register("again", "/key"), 0, ""},
		{"the Python backend's own key", alice, "SystemSharedMemoryRegister", register("p", "/triton_python_backend_shm_region_1"), access.PermissionDenied, access.ReasonShmOwner},
		{"a key with a path", alice, "SystemSharedMemoryRegister", register("p", "/a/../key"), access.PermissionDenied, access.ReasonShmOwner},
		{"another unregisters it", bob, "SystemSharedMemoryUnregister", &pb.SystemSharedMemoryUnregisterRequest{Name: "r"}, access.PermissionDenied, access.ReasonShmOwner},
		{"another unregisters it as CUDA", bob, "CudaSharedMemoryUnregister", &pb.CudaSharedMemoryUnregisterRequest{Name: "r"}, access.PermissionDenied, access.ReasonShmOwner},
		{"another asks for its status", bob, "SystemSharedMemoryStatus", &pb.SystemSharedMemoryStatusRequest{Name: "r"}, access.NotFound, access.ReasonShmOwner},
		{"its owner asks for its status", alice, "SystemSharedMemoryStatus", &pb.SystemSharedMemoryStatusRequest{Name: "r"}, 0, ""},
		{"its owner unregisters it", alice, "SystemSharedMemoryUnregister", &pb.SystemSharedMemoryUnregisterRequest{Name: "r"}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			if _, err := r.call(t, alice, "SystemSharedMemoryRegister", register("r", "/key")); err != nil {
				t.Fatal(err)
			}
			_, err := r.call(t, c.who, c.method, c.message)
			e, _ := access.AsError(err)
			if c.reason == "" && err != nil || c.reason != "" && (e == nil || e.Kind != c.kind || e.Reason != c.reason) {
				t.Errorf("got %v", err)
			}
			if c.reason == access.ReasonShmOwner && c.kind == access.PermissionDenied && strings.Contains(err.Error(), "alice") {
				t.Errorf("the refusal names the owner: %v", err)
			}
		})
	}
}

func TestARegionThatTheBackendRefusesIsNobodys(t *testing.T) {
	r := newRig(t)
	alice, bob := may("alice", access.Shm), may("bob", access.Shm)
	m := &pb.SystemSharedMemoryRegisterRequest{Name: "r", Key: "/key"}
	r.answer, r.failure = nil, errors.New("no such key")
	if _, err := r.call(t, alice, "SystemSharedMemoryRegister", m); err == nil {
		t.Fatal("the backend's error is lost")
	}
	r.failure = nil
	if _, err := r.call(t, bob, "SystemSharedMemoryRegister", m); err != nil {
		t.Errorf("the name and key stay with who failed: %v", err)
	}
}

func TestUnregisteringAllTakesOnesOwn(t *testing.T) {
	r := newRig(t)
	alice, bob := may("alice", access.Shm), may("bob", access.Shm)
	for name, who := range map[string]*access.Principal{"a1": alice, "a2": alice, "b1": bob} {
		if _, err := r.call(t, who, "SystemSharedMemoryRegister", &pb.SystemSharedMemoryRegisterRequest{Name: name, Key: "/" + name}); err != nil {
			t.Fatal(err)
		}
	}
	r.names = nil
	if _, err := r.call(t, alice, "SystemSharedMemoryUnregister", &pb.SystemSharedMemoryUnregisterRequest{}); err != nil {
		t.Fatal(err)
	}
	if slices.Sort(r.names); !slices.Equal(r.names, []string{"a1", "a2"}) {
		t.Errorf("the backend was told to unregister %q, want alice's two by name", r.names)
	}
	if left := r.Regions.Owned(bob, false); !slices.Equal(left, []string{"b1"}) {
		t.Errorf("bob has %q left", left)
	}
}

func TestStatusShowsOnesOwn(t *testing.T) {
	r := newRig(t)
	alice := may("alice", access.Shm)
	if _, err := r.call(t, alice, "SystemSharedMemoryRegister", &pb.SystemSharedMemoryRegisterRequest{Name: "a", Key: "/a"}); err != nil {
		t.Fatal(err)
	}
	r.answer = &pb.SystemSharedMemoryStatusResponse{Regions: map[string]*pb.SystemSharedMemoryStatusResponse_RegionStatus{"a": {}, "b": {}}}
	resp, err := r.call(t, alice, "SystemSharedMemoryStatus", &pb.SystemSharedMemoryStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if regions := resp.(*pb.SystemSharedMemoryStatusResponse).GetRegions(); len(regions) != 1 || regions["a"] == nil {
		t.Errorf("status shows %v", regions)
	}
}
