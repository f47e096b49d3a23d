package admin

import (
	"errors"
	"io"
	"net/http"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/sluice-gateway/sluice/rest"
)

// streams registers the methods of services that answer with a stream, each in place
// of the gateway's own, which would write an envelope around each answer.
func (d *Door) streams(services []protoreflect.ServiceDescriptor) (err error) {
	for _, service := range services {
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			if !method.IsStreamingServer() {
				continue
			}
			rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
			verb, path := verbOf(rule)
			input, wrong := protoregistry.GlobalTypes.FindMessageByName(method.Input().FullName())
			output, wrongToo := protoregistry.GlobalTypes.FindMessageByName(method.Output().FullName())
			if err = errors.Join(err, wrong, wrongToo); err != nil {
				return err
			}
			full := "/" + string(service.FullName()) + "/" + string(method.Name())
			err = d.mux.HandlePath(verb, path, func(_ http.ResponseWriter, r *http.Request, named map[string]string) {
				m := input.New()
				for name, value := range named {
					if f := method.Input().Fields().ByName(protoreflect.Name(name)); f != nil && f.Kind() == protoreflect.StringKind {
						m.Set(f, protoreflect.ValueOfString(value))
					}
				}
				d.stream(r, full, m.Interface(), output)
			})
		}
	}
	return err
}

// stream answers with a line of JSON for each answer of a stream, and with an error as
// the last one if it ends by one.
func (d *Door) stream(r *http.Request, full string, m proto.Message, output protoreflect.MessageType) {
	x := exchangeOf(r.Context())
	stream, err := d.conn.Open(r.Context(), full)
	if err != nil {
		x.fail(err)
		return
	}
	defer stream.Close()
	if err := stream.SendMsg(&source{x, m}); err == nil {
		_ = stream.CloseSend()
	}
	// A watch sends its header as soon as it is taken, which may be long before there
	// is something to tell.
	header, _ := stream.Header()
	wrote := len(header) > 0
	if wrote && x.begin() != nil {
		return
	}
	for {
		answer := output.New().Interface()
		err := stream.RecvMsg(answer)
		if err != nil {
			x.end(err, wrote)
			return
		}
		line, err := encode(answer)
		if err != nil || !wrote && x.begin() != nil {
			return
		}
		wrote = true
		if _, err := x.Write(line); err != nil || x.flush() != nil {
			return // the caller has gone
		}
	}
}

// begin sends the header of a stream.
func (x *exchange) begin() error {
	x.Header().Set("Content-Type", lines)
	x.WriteHeader(http.StatusOK)
	return x.flush()
}

// end answers what a stream ended by.
func (x *exchange) end(err error, wrote bool) {
	if errors.Is(err, io.EOF) {
		if !wrote {
			_ = x.begin() // an empty one
		}
		return
	}
	if !wrote {
		x.fail(err)
		return
	}
	st := status.Convert(err)
	x.failLine(st, rest.SetDetails(make(http.Header), st, rest.StatusOf(st.Code())))
}
