package rest

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/grpc/mem"

	"github.com/sluice-gateway/sluice/rest/dialect"
	"github.com/sluice-gateway/sluice/wire"
)

// The encodings that Triton knows.
const (
	identity = "identity"
	gzipped  = "gzip"
	deflated = "deflate" // zlib's
)

// inflateCost is what inflating a body takes in memory, in bytes.
const inflateCost = 64 << 10

// inflated is the body as it was before it was compressed, and its length where
// that is known, else -1.
func (x *exchange) inflated(in *wire.Intake) (from io.ReadCloser, known int64, err error) {
	b := &body{x: x}
	switch encoding := x.http.Header.Get("Content-Encoding"); encoding {
	case "", identity:
		return &bounded{io.NopCloser(b), in.Max(), in.Max()}, x.http.ContentLength, nil
	case gzipped, deflated:
		if err := in.Charge(inflateCost); err != nil {
			return nil, 0, err
		}
		from, err := sniffed(bufio.NewReader(b))
		if err != nil {
			return nil, 0, unreadable(err)
		}
		return &bounded{&inflating{from}, in.Max(), in.Max()}, -1, nil
	default:
		x.Header().Set("Accept-Encoding", "gzip, deflate")
		return nil, 0, &dialect.Error{Status: http.StatusNotImplemented, Text: "Unsupported compression type"}
	}
}

// bounded ends a body, inflated, that is longer than a message may be. What is
// kept of one is charged, but what a reader skips is not: a small body that
// inflates without end, or one that never ends, would keep a core busy for free.
type bounded struct {
	io.ReadCloser
	left, most int
}

// Read reads what may be read.
func (r *bounded) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if r.left -= n; r.left < 0 {
		return 0, &dialect.Error{Status: http.StatusBadRequest, Text: fmt.Sprintf("the body exceeds the maximum allowed size of %d bytes", r.most)}
	}
	return n, err
}

// plain is the body of a route that takes none compressed.
func (x *exchange) plain(in *wire.Intake) io.Reader {
	return &bounded{io.NopCloser(&body{x: x}), in.Max(), in.Max()}
}

// sniffed tells gzip from zlib by its first bytes, whatever the header said.
func sniffed(b *bufio.Reader) (io.ReadCloser, error) {
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		return gzip.NewReader(b)
	}
	return zlib.NewReader(b)
}

// inflating tells compressed data that is broken from a body that is.
type inflating struct{ io.ReadCloser }

// Read reads inflated bytes.
func (r *inflating) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = unreadable(err)
	}
	return n, err
}

func unreadable(err error) error {
	var corrupt flate.CorruptInputError
	if errors.As(err, &corrupt) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) ||
		errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) || errors.Is(err, zlib.ErrDictionary) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &dialect.Error{Status: http.StatusBadRequest, Text: "the compressed body can't be inflated"}
	}
	return err
}

// preferred is the encoding that an Accept-Encoding header asks for, as Triton
// reads it: the one of the highest weight, the first of equals; "*" is none.
func preferred(accept string) string {
	best, weight := identity, 0.0
	for part := range strings.SplitSeq(accept, ",") {
		name, q, weighted := strings.Cut(strings.TrimLeft(part, " "), ";q=")
		w := 1.0
		if weighted {
			var err error
			if w, err = strconv.ParseFloat(strings.TrimSpace(q), 64); err != nil {
				continue
			}
		}
		if (name == identity || name == gzipped || name == deflated) && w > weight {
			best, weight = name, w
		}
	}
	return best
}

// output is the body of an answer on its way through an encoding.
type output struct {
	x        *exchange
	encoding string
	encoder  io.WriteCloser // nil for identity
	buf      *[]byte
}

func newOutput(x *exchange, accept string) *output {
	o := &output{x: x, encoding: preferred(accept)}
	switch o.encoding {
	case gzipped:
		o.encoder, _ = gzip.NewWriterLevel(x, flate.BestSpeed) // how much it costs is not the caller's to choose
	case deflated:
		o.encoder, _ = zlib.NewWriterLevel(x, flate.BestSpeed)
	}
	if o.encoder != nil {
		x.Header().Set("Content-Encoding", o.encoding)
	}
	return o
}

// Write encodes p.
func (o *output) Write(p []byte) (int, error) {
	if o.encoder != nil {
		return o.encoder.Write(p)
	}
	return o.x.Write(p)
}

// page returns a page that is written out when it is full.
func (o *output) page() *dialect.Page {
	return dialect.NewPage(*o.buffer(), func(b []byte) error { _, err := o.Write(b); return err })
}

// measuring returns a page of which nothing goes out.
func (o *output) measuring() *dialect.Page {
	return dialect.NewPage(*o.buffer(), func([]byte) error { return nil })
}

func (o *output) buffer() *[]byte {
	if o.buf == nil {
		o.buf = o.pool().Get(dialect.PageSize)
	}
	return o.buf
}

func (o *output) pool() mem.BufferPool { return o.x.door.opts.Pool }

// last writes the last of a body; alone tells that it is the first as well.
func (o *output) last(b []byte, alone bool) {
	if alone {
		o.length(int64(len(b)))
	}
	_, _ = o.Write(b)
}

// length says how long the body is, unless an encoding will change that.
func (o *output) length(n int64) {
	if o.encoder == nil {
		o.x.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	}
}

// close ends the body.
func (o *output) close() {
	if o.encoder != nil {
		_ = o.encoder.Close()
	}
	if o.buf != nil {
		o.pool().Put(o.buf)
	}
}
