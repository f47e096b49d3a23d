package wire

import (
	"compress/gzip"
	"compress/zlib"
	"io"
	"sync"

	"google.golang.org/grpc/encoding"
)

// RegisterCompressors makes gRPC accept the encodings that Triton accepts:
// "gzip", and "deflate", which is zlib's format (RFC 1950) in gRPC as in HTTP. The registry is
// the process's own and not locked: call it before there are servers or clients.
func RegisterCompressors() {
	registerOnce.Do(func() {
		encoding.RegisterCompressor(newGzip())
		encoding.RegisterCompressor(newDeflate())
	})
}

var registerOnce sync.Once

// compressor is an encoding.Compressor that reuses its readers and writers,
// each of which is some 40 KiB.
type compressor struct {
	name      string
	newReader func(io.Reader) (resetReader, error)
	newWriter func() resetWriter
	readers   sync.Pool
	writers   sync.Pool
}

var _ encoding.Compressor = (*compressor)(nil)

// resetReader is a decompressor that can begin anew.
type resetReader interface {
	io.Reader
	reset(io.Reader) error
}

// resetWriter is a compressor that can begin anew.
type resetWriter interface {
	io.WriteCloser
	Reset(io.Writer)
}

func newGzip() *compressor {
	return &compressor{
		name: "gzip",
		newReader: func(r io.Reader) (resetReader, error) {
			z, err := gzip.NewReader(r)
			return gzipReader{z}, err
		},
		newWriter: func() resetWriter { return gzip.NewWriter(io.Discard) },
	}
}

func newDeflate() *compressor {
	return &compressor{
		name: "deflate",
		newReader: func(r io.Reader) (resetReader, error) {
			z, err := zlib.NewReader(r)
			return zlibReader{z}, err
		},
		newWriter: func() resetWriter { return zlib.NewWriter(io.Discard) },
	}
}

type gzipReader struct{ *gzip.Reader }

func (z gzipReader) reset(r io.Reader) error { return z.Reset(r) }

type zlibReader struct{ io.ReadCloser }

func (z zlibReader) reset(r io.Reader) error { return z.ReadCloser.(zlib.Resetter).Reset(r, nil) }

// Name is the encoding's name in the grpc-encoding header.
func (c *compressor) Name() string { return c.name }

// Decompress returns a reader of what r inflates to; closing it lets it be reused.
func (c *compressor) Decompress(r io.Reader) (io.Reader, error) {
	if z, ok := c.readers.Get().(resetReader); ok {
		if err := z.reset(r); err != nil {
			return nil, err
		}
		return &pooledReader{z, c}, nil
	}
	z, err := c.newReader(r)
	if err != nil {
		return nil, err
	}
	return &pooledReader{z, c}, nil
}

// Compress returns a writer that compresses to w; closing it ends the output.
func (c *compressor) Compress(w io.Writer) (io.WriteCloser, error) {
	z, ok := c.writers.Get().(resetWriter)
	if !ok {
		z = c.newWriter()
	}
	z.Reset(w)
	return &pooledWriter{z, c}, nil
}

type pooledReader struct {
	resetReader
	to *compressor
}

// Close gives the reader back; it is not to be used any more.
func (r *pooledReader) Close() error {
	r.to.readers.Put(r.resetReader)
	r.resetReader = nil
	return nil
}

type pooledWriter struct {
	resetWriter
	to *compressor
}

// Close ends the output and gives the writer back.
func (w *pooledWriter) Close() error {
	err := w.resetWriter.Close()
	w.to.writers.Put(w.resetWriter)
	return err
}
