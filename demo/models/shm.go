package models

import (
	"os"
	"path/filepath"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// shmDir is where Linux keeps what shm_open opens.
const shmDir = "/dev/shm"

// reservedKeys begin the keys of the regions that Triton's Python backend has
// for itself.
const reservedKeys = "triton_python_backend_shm_region_"

// shmDisabled is the text of a Triton whose --allow-client-shm is off.
const shmDisabled = "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable."

// regions are the regions of system shared memory that clients have
// registered. They are read and written as files, not mapped: a client that
// cuts its file short then causes an error and not a SIGBUS.
type regions struct {
	allowed bool

	mu  sync.Mutex
	all map[string]*region
}

// region is one of them; its file stays open so that it outlives its name.
type region struct {
	key          string
	offset, size int64
	file         *os.File
}

// window is a part of a region, within its bounds.
type window struct {
	file         *os.File
	offset, size int64
}

func newRegions(allowed bool) *regions {
	return &regions{allowed: allowed, all: map[string]*region{}}
}

// register opens the region key under name.
func (r *regions) register(name, key string, offset, size uint64) error {
	if strings.HasPrefix(strings.TrimLeft(key, "/"), reservedKeys) {
		return invalid("cannot register shared memory region '%s' with key '%s' as the key contains the reserved prefix '%s'", name, key, reservedKeys)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all[name] != nil {
		return status.Errorf(codes.AlreadyExists, "shared memory region '%s' already in manager", name)
	}
	file, err := openRegion(key)
	if err != nil {
		return status.Errorf(codes.Internal, "Unable to open shared memory region: '%s'", key)
	}
	if reason := checkBounds(file, offset, size); reason != "" {
		_ = file.Close()
		return invalid("failed to register shared memory region '%s': %s", name, reason)
	}
	r.all[name] = &region{key: key, offset: int64(offset), size: int64(size), file: file} //nolint:gosec // within a file's size
	return nil
}

// checkBounds says why a part of file can't be had, or "". The last reason is
// mmap's, which wants at least a byte and an offset of whole pages.
func checkBounds(file *os.File, offset, size uint64) string {
	info, err := file.Stat()
	if err != nil {
		return "invalid args"
	}
	n := uint64(max(info.Size(), 0)) //nolint:gosec // not negative
	switch {
	case offset > n || size > n-offset:
		return "invalid args"
	case size == 0 || offset%uint64(os.Getpagesize()) != 0: //nolint:gosec // not negative
		return "unable to process address spaceInvalid argument"
	}
	return ""
}

// openRegion opens what shm_open would, and nothing outside of [shmDir].
func openRegion(key string) (*os.File, error) {
	root, err := os.OpenRoot(shmDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	name := strings.TrimPrefix(key, "/")
	if name != filepath.Base(name) {
		return nil, os.ErrInvalid
	}
	if info, err := root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return nil, os.ErrInvalid
	}
	return root.OpenFile(name, os.O_RDWR, 0)
}

// unregister lets go of the region called name, or of all where name is "".
// One that is not there is no error.
func (r *regions) unregister(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, region := range r.all {
		if name == "" || n == name {
			delete(r.all, n)
			if err := region.file.Close(); err != nil {
				return status.Errorf(codes.Internal, "Failed to unregister the following system shared memory regions: %s ,", n)
			}
		}
	}
	return nil
}

// status describes the region called name, or all where name is "".
func (r *regions) status(name string) (map[string]*inference.SystemSharedMemoryStatusResponse_RegionStatus, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name != "" && r.all[name] == nil {
		return nil, status.Errorf(codes.NotFound, "Unable to find system shared memory region: '%s'", name)
	}
	found := map[string]*inference.SystemSharedMemoryStatusResponse_RegionStatus{}
	for n, region := range r.all {
		if name == "" || n == name {
			found[n] = &inference.SystemSharedMemoryStatusResponse_RegionStatus{
				Name: n, Key: region.key, Offset: uint64(region.offset), ByteSize: uint64(region.size), //nolint:gosec // not negative
			}
		}
	}
	return found, nil
}

// window finds the part of a region that a tensor names.
func (r *regions) window(p *regionParams) (*window, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	region := r.all[p.region]
	switch {
	case region == nil:
		return nil, status.Errorf(codes.NotFound, "Unable to find shared memory region: '%s'", p.region)
	case p.offset < 0 || p.offset >= region.size:
		return nil, invalid("Invalid offset for shared memory region: '%s'", p.region)
	case p.size < 0 || p.size > region.size-p.offset:
		return nil, invalid("Invalid offset + byte size for shared memory region: '%s'", p.region)
	}
	return &window{file: region.file, offset: region.offset + p.offset, size: p.size}, nil
}

// read copies what the window shows.
func (w *window) read() ([]byte, error) {
	data := make([]byte, w.size)
	if _, err := w.file.ReadAt(data, w.offset); err != nil {
		return nil, status.Error(codes.Internal, "unable to read the shared memory region")
	}
	return data, nil
}

// write puts data at the window's beginning; the caller has seen that it fits.
func (w *window) write(data []byte) error {
	if _, err := w.file.WriteAt(data, w.offset); err != nil {
		return status.Error(codes.Internal, "unable to write to the shared memory region")
	}
	return nil
}
