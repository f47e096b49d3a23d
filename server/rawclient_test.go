package server_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rawClient speaks HTTP/2 frame by frame, as no gRPC library would.
type rawClient struct {
	t       *testing.T
	conn    net.Conn
	framer  *http2.Framer
	headers bytes.Buffer
	encoder *hpack.Encoder
}

// rawAnswer is what a stream was answered with: its header fields, trailers
// among them, and its end.
type rawAnswer struct {
	fields map[string]string
	data   []byte
	reset  bool
	goAway bool
	code   http2.ErrCode
}

func (g *gateway) rawClient(t *testing.T) *rawClient { return rawClientOf(t, g.Address) }

func rawClientOf(t *testing.T, address string) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c := &rawClient{t: t, conn: conn, framer: http2.NewFramer(conn, conn)}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.headers)
	_, err = io.WriteString(conn, http2.ClientPreface)
	c.must(err)
	c.must(c.framer.WriteSettings())
	return c
}

func (c *rawClient) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// open sends a call's header fields: those of gRPC, with more put over them; ""
// takes one out.
func (c *rawClient) open(stream uint32, path string, end bool, more ...string) {
	c.t.Helper()
	fields := []string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "sluice", "content-type", "application/grpc", "te", "trailers"}
	for i := 0; i < len(more); i += 2 {
		for j := 0; j < len(fields); j += 2 {
			if fields[j] == more[i] && more[i] != "authorization" {
				fields[j] = ""
			}
		}
	}
	c.headers.Reset()
	for all, i := append(fields, more...), 0; i < len(all); i += 2 {
		if all[i] != "" && all[i+1] != "" {
			c.must(c.encoder.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]}))
		}
	}
	block := c.headers.Bytes()
	const most = 16 << 10
	first := block[:min(len(block), most)]
	c.must(c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: end, EndHeaders: len(first) == len(block)}))
	for block = block[len(first):]; len(block) > 0; {
		next := block[:min(len(block), most)]
		block = block[len(next):]
		c.must(c.framer.WriteContinuation(stream, len(block) == 0, next))
	}
}

// framed is a message as gRPC frames it.
func framed(flag byte, message []byte) []byte {
	b := append([]byte{flag}, make([]byte, 4)...)
	binary.BigEndian.PutUint32(b[1:], uint32(len(message)))
	return append(b, message...)
}

func (c *rawClient) data(stream uint32, end bool, b []byte) {
	c.t.Helper()
	c.must(c.framer.WriteData(stream, end, b))
}

// answer reads until the stream or the connection is over.
func (c *rawClient) answer(stream uint32) *rawAnswer {
	c.t.Helper()
	a := &rawAnswer{fields: make(map[string]string)}
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			c.t.Fatalf("stream %d: %v, after %+v", stream, err, a)
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.must(c.framer.WriteSettingsAck())
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				c.must(c.framer.WritePing(true, f.Data))
			}
		case *http2.GoAwayFrame:
			a.goAway, a.code = true, f.ErrCode
			return a
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				a.reset, a.code = true, f.ErrCode
				return a
			}
		case *http2.DataFrame:
			if a.data = append(a.data, f.Data()...); f.StreamID == stream && f.StreamEnded() {
				return a
			}
		case *http2.MetaHeadersFrame:
			if f.StreamID != stream {
				continue
			}
			for _, field := range f.Fields {
				a.fields[field.Name] = field.Value
			}
			if f.StreamEnded() {
				return a
			}
		}
	}
}

// status is the call's gRPC status, or how it ended without one.
func (a *rawAnswer) status() string {
	switch {
	case a.fields["grpc-status"] != "":
		return a.fields["grpc-status"]
	case a.goAway:
		return fmt.Sprint("GOAWAY ", a.code)
	case a.reset:
		return fmt.Sprint("RST_STREAM ", a.code)
	}
	return "HTTP " + a.fields[":status"]
}
