package export

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
)

// spool is a part on its way: a target wants to know how long a file is.
type spool struct {
	file *os.File
	buf  *bufio.Writer
	sum  hash.Hash
	size int64
}

func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, "sluice-export-*")
	if err != nil {
		return nil, err
	}
	return &spool{file: f, buf: bufio.NewWriterSize(f, 64<<10), sum: sha256.New()}, nil
}

// Write takes more of the part.
func (s *spool) Write(b []byte) (int, error) {
	n, err := s.buf.Write(b)
	_, _ = s.sum.Write(b[:n]) // never fails
	s.size += int64(n)
	return n, err
}

// send puts the part into its place, and gives its size and SHA-256.
func (s *spool) send(ctx context.Context, t Target, name string) (int64, string, error) {
	if err := s.buf.Flush(); err != nil {
		return 0, "", err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return 0, "", err
	}
	// A target may close what it reads; the file is ours.
	return s.size, hex.EncodeToString(s.sum.Sum(nil)), t.Put(ctx, name, io.NewSectionReader(s.file, 0, s.size), s.size)
}

func (s *spool) remove() error { return errors.Join(s.file.Close(), os.Remove(s.file.Name())) }
