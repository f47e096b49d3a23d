package wire_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"sync"
	"testing"

	"google.golang.org/grpc/encoding"
)

// TestCompressors shows that the encodings are those that gRPC's other
// implementations mean by their names, and that what is reused is reset.
func TestCompressors(t *testing.T) {
	readers := map[string]func(io.Reader) (io.ReadCloser, error){
		"gzip":    func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) },
		"deflate": zlib.NewReader,
	}
	for name, reader := range readers {
		t.Run(name, func(t *testing.T) {
			c := encoding.GetCompressor(name)
			if c == nil || c.Name() != name {
				t.Fatalf("%s is not registered", name)
			}
			for _, n := range []int{0, 10, 100_000, 10} {
				want := payload(n)
				z, err := reader(bytes.NewReader(compressed(t, name, want)))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes became %d: %v", n, len(got), err)
				}
			}
		})
	}
}

func TestDecompressAfterFailure(t *testing.T) {
	for _, name := range []string{"gzip", "deflate"} {
		t.Run(name, func(t *testing.T) {
			c := encoding.GetCompressor(name)
			good := compressed(t, name, payload(1000))
			for range 3 {
				inflate(t, c, good)
				if _, err := c.Decompress(bytes.NewReader([]byte("neither"))); err == nil {
					t.Error("a wrong header was read")
				}
			}
		})
	}
}

// inflate wants the bytes of payload(1000).
func inflate(t *testing.T, c encoding.Compressor, b []byte) {
	t.Helper()
	z, err := c.Decompress(bytes.NewReader(b))
	if err != nil {
		t.Error(err)
		return
	}
	if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, payload(1000)) {
		t.Errorf("1000 bytes became %d: %v", len(got), err)
	}
	if err := z.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
}

func TestCompressorsConcurrently(t *testing.T) {
	for _, name := range []string{"gzip", "deflate"} {
		c := encoding.GetCompressor(name)
		b := compressed(t, name, payload(1000))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					inflate(t, c, b)
				}
			})
		}
		wg.Wait()
	}
}
