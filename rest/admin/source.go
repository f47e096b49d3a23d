package admin

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/rest"
	"github.com/sluice-gateway/sluice/wire"
)

// Limits of bodies, in bytes: of all, and of those with a secret of 64 KiB in
// base64.
const (
	maxBody       = 1 << 20
	maxSecretBody = 96 << 10
)

// errNoMessage is a mistake in the composition.
var errNoMessage = errors.New("rest/admin: something that is no message")

// conn is the connection of grpc-gateway's handlers. They hand over a request with
// what the path says; the rest is read when the chain asks for it.
type conn struct{ *rest.Conn }

// Invoke makes a call.
func (c *conn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	m, ok := args.(proto.Message)
	if !ok {
		return errNoMessage
	}
	return c.Conn.Invoke(ctx, method, &source{exchangeOf(ctx), m}, reply, opts...)
}

// source is a request that is read when it is asked for. m has what the path says.
type source struct {
	x *exchange
	m proto.Message
}

var _ wire.Source = (*source)(nil)

// Receive reads the body or the query, and makes the request's message.
func (s *source) Receive(_ context.Context, in *wire.Intake) error {
	read := proto.Clone(s.m)
	proto.Reset(read)
	if err := s.read(read, in); err != nil {
		return err
	}
	if err := join(read, s.m); err != nil {
		return err
	}
	if err := in.Charge(proto.Size(read)); err != nil {
		return err
	}
	made, err := wire.FromProto(read)
	if secret, ok := read.(interface{ GetValue() []byte }); ok {
		clear(secret.GetValue())
	}
	if err != nil {
		return malformed("the request holds text that is not UTF-8")
	}
	for _, b := range made.Buffers() {
		b.Ref()
		in.Append(b)
	}
	made.Free()
	return nil
}

func (s *source) read(into proto.Message, in *wire.Intake) error {
	query := s.x.http.URL.RawQuery
	switch s.x.http.Method {
	case http.MethodGet, http.MethodDelete:
		return readQuery(query, into)
	}
	if query != "" {
		return malformed("this path takes no query; write the fields into a JSON body")
	}
	body, err := s.body(in)
	if err != nil || len(body) == 0 {
		return err
	}
	defer clear(body) // it may hold a secret
	if err := s.checkType(); err != nil {
		return err
	}
	if err := protojson.Unmarshal(body, into); err != nil {
		return malformed("the body is not the JSON of %s: %s", into.ProtoReflect().Descriptor().Name(), problem(err))
	}
	return nil
}

// body reads the whole body, of which each piece is charged before it is read.
func (s *source) body(in *wire.Intake) ([]byte, error) {
	most := maxBody
	switch s.m.(type) {
	case *pb.PutSecretRequest, *pb.RotateSecretRequest:
		most = maxSecretBody
	}
	r := s.x.http
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, malformed("the body is compressed, which is not taken here")
	}
	_ = s.x.control.SetReadDeadline(time.Now().Add(bodyTime))
	defer func() { _ = s.x.control.SetReadDeadline(time.Time{}) }()
	if r.ContentLength > int64(most) {
		return nil, s.tooLong(most)
	}
	const step = 16 << 10
	var body []byte
	for {
		if err := in.Charge(step); err != nil {
			return nil, err
		}
		n := len(body)
		body = append(body, make([]byte, step)...)
		got, err := io.ReadFull(r.Body, body[n:])
		body = body[:n+got]
		switch {
		case len(body) > most:
			clear(body)
			return nil, s.tooLong(most)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && got < step:
			return body, nil
		case err != nil && r.Context().Err() != nil:
			return nil, r.Context().Err()
		case err != nil:
			return nil, malformed("the request's body can't be read")
		}
	}
}

// tooLong refuses a body. Some of the rest is read, so that most clients have sent
// what they send and read why.
func (s *source) tooLong(most int) error {
	_, _ = io.CopyN(io.Discard, s.x.http.Body, 2*maxBody)
	return malformed("the body is longer than %d bytes", most)
}

// checkType takes JSON and nothing else: a form of another site's page can't send
// that without having asked.
func (s *source) checkType() error {
	kind, params, err := mime.ParseMediaType(s.x.http.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || !strings.EqualFold(params["charset"], "utf-8") && params["charset"] != "" {
		return malformed("the body's Content-Type must be application/json")
	}
	return nil
}

// join adds what the path says, which a body or query can't say otherwise.
func join(read, path proto.Message) (err error) {
	into := read.ProtoReflect()
	path.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if into.Has(f) && !into.Get(f).Equal(v) {
			err = malformed("%s is %s in the path and something else in the request; leave it out there", f.Name(), access.Quote(v.String()))
			return false
		}
		into.Set(f, v)
		return true
	})
	return err
}

// told is what protojson may say of a body. Its other words quote values.
var told = regexp.MustCompile(`^proto:[\s\x{00a0}]*(\(line \d+:\d+\): (?:unknown field|duplicate field|invalid value for \w+ field|no such oneof) ?"?[\w.]{0,64}"?|syntax error \(line \d+:\d+\))`)

// place is where in a body protojson found something wrong.
var place = regexp.MustCompile(`\(line \d+:\d+\)`)

func problem(err error) string {
	text := err.Error()
	if m := told.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	if at := place.FindString(text); at != "" {
		return "a value of a wrong kind " + at
	}
	return "it ends too early or is no JSON object"
}
