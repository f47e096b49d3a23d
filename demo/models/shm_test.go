package models_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/sluice-gateway/sluice/demo/models"
	"github.com/sluice-gateway/sluice/gen/inference"
)

// shared makes a region of that content and returns its key, as a client's
// shm_open would. The test is left out where there is no /dev/shm.
func shared(t *testing.T, content []byte) (key string) {
	t.Helper()
	f, err := os.CreateTemp("/dev/shm", "sluice_test_")
	if err != nil {
		t.Skipf("no shared memory here: %v", err)
	}
	t.Cleanup(func() { _ = os.Remove(f.Name()) })
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return "/" + filepath.Base(f.Name())
}

func shmClient(t *testing.T) inference.GRPCInferenceServiceClient {
	t.Helper()
	return inference.NewGRPCInferenceServiceClient(dial(t, models.Options{SharedMemory: true}))
}

func register(t *testing.T, c inference.GRPCInferenceServiceClient, name, key string, offset, size uint64) error {
	t.Helper()
	_, err := c.SystemSharedMemoryRegister(t.Context(), &inference.SystemSharedMemoryRegisterRequest{Name: name, Key: key, Offset: offset, ByteSize: size})
	return err
}

// inRegion are the parameters of a tensor in shared memory.
func inRegion(name string, offset, size int64) map[string]*inference.InferParameter {
	p := map[string]*inference.InferParameter{"shared_memory_region": stringParam(name), "shared_memory_byte_size": intParam(size)}
	if offset != 0 {
		p["shared_memory_offset"] = intParam(offset)
	}
	return p
}

// TestSharedMemory has one input and one output in a region; the raw contents
// are those of the other input alone.
func TestSharedMemory(t *testing.T) {
	c := shmClient(t)
	page := os.Getpagesize()
	key := shared(t, slices.Concat(make([]byte, page), rows(1, 100), make([]byte, 64)))
	if err := register(t, c, "r", key, uint64(page), 128); err != nil {
		t.Fatal(err)
	}
	r := addRequest("")
	r.Inputs[0].Parameters = inRegion("r", 0, 64)
	r.RawInputContents = r.RawInputContents[1:]
	r.Outputs = []*inference.ModelInferRequest_InferRequestedOutputTensor{{Name: "OUTPUT0", Parameters: inRegion("r", 64, 64)}, {Name: "OUTPUT1"}}
	got := must[*inference.ModelInferResponse](t)(c.ModelInfer(t.Context(), r))
	raw := got.GetRawOutputContents()
	if len(raw) != 2 || len(raw[0]) != 0 || len(raw[1]) != 64 || got.GetOutputs()[0].GetDatatype() != "INT32" || len(got.GetOutputs()[0].GetShape()) != 2 {
		t.Errorf("answer %v, want nothing raw for OUTPUT0", got)
	}
	content, err := os.ReadFile("/dev/shm" + key)
	if err != nil {
		t.Fatal(err)
	}
	if got := content[page+64:]; !bytes.Equal(got, add(rows(1, 100), rows(1, 1))) {
		t.Errorf("the region holds %x", got)
	}
}

func TestSharedMemoryStatus(t *testing.T) {
	c := shmClient(t)
	key := shared(t, make([]byte, 64))
	for _, name := range []string{"a", "b"} {
		if err := register(t, c, name, key, 0, 32); err != nil {
			t.Fatal(err)
		}
	}
	status := func(name string) string {
		got := must[*inference.SystemSharedMemoryStatusResponse](t)(c.SystemSharedMemoryStatus(t.Context(), &inference.SystemSharedMemoryStatusRequest{Name: name})).GetRegions()
		return fmt.Sprintf("%d %v %d %s", len(got), got["a"].GetKey() == key, got["a"].GetByteSize(), got["b"].GetName())
	}
	if got := status(""); got != "2 true 32 b" {
		t.Errorf("all: %s", got)
	}
	if got := status("a"); got != "1 true 32 " {
		t.Errorf("one: %s", got)
	}
	for _, name := range []string{"a", "a", "unknown", ""} {
		must[*inference.SystemSharedMemoryUnregisterResponse](t)(c.SystemSharedMemoryUnregister(t.Context(), &inference.SystemSharedMemoryUnregisterRequest{Name: name}))
	}
	if got := status(""); got != "0 false 0 " {
		t.Errorf("after unregister: %s", got)
	}
	_, err := c.SystemSharedMemoryStatus(t.Context(), &inference.SystemSharedMemoryStatusRequest{Name: "a"})
	wantStatus(t, err, codes.NotFound, "Unable to find system shared memory region: 'a'")
}

func TestRegisterRefusals(t *testing.T) {
	key := shared(t, make([]byte, 64))
	outside := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(outside, make([]byte, 64), 0o600); err != nil {
		t.Fatal(err)
	}
	link := "/dev/shm/sluice_test_link_" + filepath.Base(key)
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(link) })
	const open = "Unable to open shared memory region: '%s'"
	const bounds = "failed to register shared memory region 'x': invalid args"
	const mapping = "failed to register shared memory region 'x': unable to process address spaceInvalid argument"
	for _, tc := range []struct {
		name, key    string
		offset, size uint64
		code         codes.Code
		text         string
	}{
		{"not there", "/nope", 0, 1, codes.Internal, fmt.Sprintf(open, "/nope")},
		{"no key", "", 0, 1, codes.Internal, fmt.Sprintf(open, "")},
		{"a folder", "/", 0, 1, codes.Internal, fmt.Sprintf(open, "/")},
		{"a way out", "/../.." + outside, 0, 1, codes.Internal, fmt.Sprintf(open, "/../.."+outside)},
		{"up", "..", 0, 1, codes.Internal, fmt.Sprintf(open, "..")},
		{"a link", strings.TrimPrefix(link, "/dev/shm"), 0, 1, codes.Internal, fmt.Sprintf(open, strings.TrimPrefix(link, "/dev/shm"))},
		{"a NUL", "/a\x00b", 0, 1, codes.Internal, fmt.Sprintf(open, "/a\x00b")},
		{
			"Triton's own", "/triton_python_backend_shm_region_1", 0, 1, codes.InvalidArgument,
			"cannot register shared memory region 'x' with key '/triton_python_backend_shm_region_1' as the key contains the reserved prefix 'triton_python_backend_shm_region_'",
		},
		{"too long", key, 0, 65, codes.InvalidArgument, bounds},
		{"beyond the end", key, 64, 1, codes.InvalidArgument, bounds},
		{"overflow", key, 1<<64 - 1, 2, codes.InvalidArgument, bounds},
		{"nothing", key, 0, 0, codes.InvalidArgument, mapping},
		{"within a page", key, 16, 1, codes.InvalidArgument, mapping},
		{"twice", key, 0, 64, codes.AlreadyExists, "shared memory region 'x' already in manager"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := shmClient(t)
			if tc.code == codes.AlreadyExists {
				if err := register(t, c, "x", key, 0, 1); err != nil {
					t.Fatal(err)
				}
			}
			wantStatus(t, register(t, c, "x", tc.key, tc.offset, tc.size), tc.code, tc.text)
		})
	}
}

func TestRegionRefusals(t *testing.T) {
	key := shared(t, make([]byte, 128))
	for _, tc := range []struct {
		name   string
		input  map[string]*inference.InferParameter // of INPUT0, if not nil
		output map[string]*inference.InferParameter // of OUTPUT0, if not nil
		change func(*inference.ModelInferRequest)
		code   codes.Code
		text   string
	}{
		{"unknown", inRegion("nope", 0, 64), nil, nil, codes.NotFound, "Unable to find shared memory region: 'nope'"},
		{"offset", inRegion("x", 128, 64), nil, nil, codes.InvalidArgument, "Invalid offset for shared memory region: 'x'"},
		{"negative offset", inRegion("x", -1, 64), nil, nil, codes.InvalidArgument, "Invalid offset for shared memory region: 'x'"},
		{"size", inRegion("x", 96, 64), nil, nil, codes.InvalidArgument, "Invalid offset + byte size for shared memory region: 'x'"},
		{"negative size", inRegion("x", 0, -1), nil, nil, codes.InvalidArgument, "Invalid offset + byte size for shared memory region: 'x'"},
		{
			"size of the tensor", inRegion("x", 0, 32), nil, nil, codes.InvalidArgument,
			"[request id: <id_unknown>] input byte size mismatch for input 'INPUT0' for model 'simple'. Expected 64, got 32",
		},
		{
			"contents too", inRegion("x", 0, 64), nil, func(r *inference.ModelInferRequest) { r.Inputs[0].Contents = &inference.InferTensorContents{} }, codes.InvalidArgument,
			"unexpected 'content' provided when using shared memory for input tensor 'INPUT0' for model 'simple'",
		},
		{
			"output too small", nil, inRegion("x", 0, 60), nil, codes.Internal,
			"shared memory size specified with the request for output 'OUTPUT0' (60 bytes) should be at least 64 bytes to hold the results",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := shmClient(t)
			if err := register(t, c, "x", key, 0, 128); err != nil {
				t.Fatal(err)
			}
			r := addRequest("")
			if tc.input != nil {
				r.Inputs[0].Parameters = tc.input
				r.RawInputContents = r.RawInputContents[1:]
			}
			if tc.output != nil {
				r.Outputs = []*inference.ModelInferRequest_InferRequestedOutputTensor{{Name: "OUTPUT0", Parameters: tc.output}}
			}
			if tc.change != nil {
				tc.change(r)
			}
			_, err := c.ModelInfer(t.Context(), r)
			wantStatus(t, err, tc.code, tc.text)
		})
	}
}

// TestShortenedRegion: a client that cuts its region short after registering
// gets an error, and the server lives.
func TestShortenedRegion(t *testing.T) {
	c := shmClient(t)
	key := shared(t, make([]byte, 64))
	if err := register(t, c, "x", key, 0, 64); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate("/dev/shm"+key, 10); err != nil {
		t.Fatal(err)
	}
	r := addRequest("")
	r.Inputs[0].Parameters, r.RawInputContents = inRegion("x", 0, 64), r.RawInputContents[1:]
	_, err := c.ModelInfer(t.Context(), r)
	wantStatus(t, err, codes.Internal, "unable to read the shared memory region")
}

func TestSharedMemoryIsOffByDefault(t *testing.T) {
	c := client(t)
	const want = "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable."
	_, unregistered := c.SystemSharedMemoryUnregister(t.Context(), &inference.SystemSharedMemoryUnregisterRequest{})
	_, cuda := c.CudaSharedMemoryUnregister(t.Context(), &inference.CudaSharedMemoryUnregisterRequest{})
	for _, err := range []error{register(t, c, "x", "/x", 0, 1), unregistered, cuda} {
		wantStatus(t, err, codes.Unimplemented, want)
	}
	must[*inference.SystemSharedMemoryStatusResponse](t)(c.SystemSharedMemoryStatus(t.Context(), &inference.SystemSharedMemoryStatusRequest{}))
}

func TestCudaSharedMemory(t *testing.T) {
	c := shmClient(t)
	_, err := c.CudaSharedMemoryRegister(t.Context(), &inference.CudaSharedMemoryRegisterRequest{Name: "x", RawHandle: []byte("h"), ByteSize: 1})
	wantStatus(t, err, codes.InvalidArgument, "failed to register CUDA shared memory region: 'x', GPUs not supported")
	_, err = c.CudaSharedMemoryStatus(t.Context(), &inference.CudaSharedMemoryStatusRequest{Name: "x"})
	wantStatus(t, err, codes.NotFound, "Unable to find cuda shared memory region: 'x'")
	must[*inference.CudaSharedMemoryUnregisterResponse](t)(c.CudaSharedMemoryUnregister(t.Context(), &inference.CudaSharedMemoryUnregisterRequest{Name: "x"}))
	all := must[*inference.CudaSharedMemoryStatusResponse](t)(c.CudaSharedMemoryStatus(t.Context(), &inference.CudaSharedMemoryStatusRequest{}))
	if len(all.GetRegions()) != 0 {
		t.Errorf("regions %v", all.GetRegions())
	}
}
