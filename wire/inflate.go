package wire

import (
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

const (
	// inflateFirst and inflateStep are the sizes of the first and of all
	// further buffers that a message is inflated into.
	inflateFirst = 4 << 10
	inflateStep  = 32 << 10
	// deflatedStep is how much of a compressed message is in memory at a time.
	deflatedStep = 64 << 10
)

// inflate reads a compressed message of n bytes and inflates it into m as it
// comes: no more than a step of the compressed form is ever held, and each
// buffer of the inflated form is charged before it is made.
func (r *Receiver) inflate(m *Message, a *Account, n int, name string) error {
	compressor := encoding.GetCompressor(name)
	if compressor == nil {
		return status.Errorf(codes.Unimplemented, "grpc: Decompressor is not installed for grpc-encoding %q", name)
	}
	step := min(n, deflatedStep)
	if err := a.Acquire(step); err != nil {
		return err
	}
	defer a.Release(step)
	in := &deflated{from: r, left: n}
	defer in.free()
	out, err := compressor.Decompress(in)
	if err != nil {
		return in.because("grpc: failed to decompress the message: %v", err)
	}
	if c, ok := out.(io.Closer); ok {
		defer func() { _ = c.Close() }() // only returns it to its pool
	}
	for size := inflateFirst; err == nil; size = inflateStep {
		err = r.fill(m, out, in, size)
	}
	if err != io.EOF {
		return err
	}
	return in.discard()
}

// fill inflates into one more buffer of m; the error after the last is io.EOF.
func (r *Receiver) fill(m *Message, out io.Reader, in *deflated, size int) error {
	if err := m.charge.add(size); err != nil {
		return err
	}
	buf := r.Pool.Get(size)
	n := 0
	var err error
	for n < size && err == nil {
		var more int
		more, err = out.Read((*buf)[n:])
		n += more
	}
	*buf = (*buf)[:n]
	m.bufs = append(m.bufs, mem.NewBuffer(buf, r.Pool))
	m.size += n
	switch {
	case m.size > r.Max:
		return status.Errorf(codes.ResourceExhausted, "grpc: received message after decompression larger than max %d", r.Max)
	case err == nil || err == io.EOF:
		return err
	default:
		return in.because("grpc: failed to read decompressed data: %v", err)
	}
}

// deflated is the compressed form of a message, read from the transport while
// it is inflated.
type deflated struct {
	from *Receiver
	left int // not read from the transport yet
	held mem.BufferSlice
	cur  []byte // what is left of held[0]
	err  error  // of the transport
}

// ReadByte is how compress/flate reads.
func (d *deflated) ReadByte() (byte, error) {
	if len(d.cur) == 0 && !d.more() {
		return 0, d.end()
	}
	b := d.cur[0]
	d.cur = d.cur[1:]
	return b, nil
}

// Read is how headers and stored blocks are read.
func (d *deflated) Read(p []byte) (int, error) {
	if len(d.cur) == 0 && len(p) > 0 && !d.more() {
		return 0, d.end()
	}
	n := copy(p, d.cur)
	d.cur = d.cur[n:]
	return n, nil
}

// more steps to the next buffer, reading from the transport if none is held.
func (d *deflated) more() bool {
	for len(d.cur) == 0 {
		if len(d.held) > 0 {
			d.held[0].Free()
			d.held = d.held[1:]
		}
		if len(d.held) == 0 {
			if d.left == 0 || d.err != nil {
				return false
			}
			n := min(d.left, deflatedStep)
			if d.held, d.err = d.from.read(n); d.err != nil {
				return false
			}
			d.left -= n
		}
		d.cur = d.held[0].ReadOnlyData()
	}
	return true
}

func (d *deflated) end() error {
	if d.err != nil {
		return d.err
	}
	return io.EOF
}

// discard reads what the decompressor left over, so that the stream stands at
// the next message.
func (d *deflated) discard() error {
	for d.cur = nil; d.more(); {
		d.cur = nil
	}
	return d.err
}

// because makes an error of the decompressor's, unless the transport's is behind it.
func (d *deflated) because(format string, err error) error {
	if d.err != nil {
		return d.err
	}
	return status.Errorf(codes.Internal, format, err)
}

func (d *deflated) free() {
	d.held.Free()
	d.from, d.held, d.cur = nil, nil, nil // a pooled decompressor may keep d
}
