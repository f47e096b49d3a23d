package export

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Target is where files go. It is for one export at a time.
type Target interface {
	// Put writes a file of size bytes, whole or not at all, in the place of one of the
	// same name.
	Put(ctx context.Context, name string, content io.Reader, size int64) error
	// Get opens a file; [os.ErrNotExist] if there is none.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
}

// Folder is a target in a folder of the file system.
type Folder string

var _ Target = Folder("")

// Put writes a file beside its place, syncs it, and moves it there.
func (f Folder) Put(_ context.Context, name string, content io.Reader, size int64) (err error) {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(string(f), ".part-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	n, err := io.Copy(file, content)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// Get opens a file.
func (f Folder) Get(_ context.Context, name string) (io.ReadCloser, error) {
	path, err := f.path(name)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// path keeps names in the folder: a manifest that somebody else wrote names files.
func (f Folder) path(name string) (string, error) {
	if !plainName(name) {
		return "", errName
	}
	return filepath.Join(string(f), name), nil
}

var errName = errors.New("export: not the name of a file of an export")

func plainName(name string) bool {
	return name != "" && name[0] != '.' && !strings.ContainsAny(name, `/\:`) && filepath.IsLocal(name)
}
