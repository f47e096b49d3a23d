package main

import (
	"errors"
	"fmt"
	"io"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	status "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
)

// framePrefix is gRPC's: one byte of flags, four of length.
const framePrefix = 5

// authnFilter is the namespace under which Envoy's JWT filter tells what it
// verified; payloadKey is the benchmark's name for the token's claims in it.
const (
	authnFilter = "envoy.filters.http.jwt_authn"
	payloadKey  = "jwt"
)

// processor answers Envoy's questions; it keeps nothing between them.
type processor struct {
	extproc.UnimplementedExternalProcessorServer
	group string
}

// Process speaks with Envoy about one HTTP request.
func (p *processor) Process(s extproc.ExternalProcessor_ProcessServer) error {
	for {
		req, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		resp, err := p.answer(req)
		if err != nil {
			return err
		}
		if err := s.Send(resp); err != nil {
			return err
		}
	}
}

func (p *processor) answer(req *extproc.ProcessingRequest) (*extproc.ProcessingResponse, error) {
	switch r := req.Request.(type) {
	case *extproc.ProcessingRequest_RequestBody:
		return p.decide(r.RequestBody.GetBody(), groups(req.GetMetadataContext())), nil
	case *extproc.ProcessingRequest_ResponseBody:
		return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseBody{
			ResponseBody: &extproc.BodyResponse{},
		}}, nil
	default:
		return nil, fmt.Errorf("envoy asked about %T, which its configuration leaves out", r)
	}
}

func (p *processor) decide(body []byte, groups []string) *extproc.ProcessingResponse {
	if _, ok := modelName(body); ok {
		for _, g := range groups {
			if g == p.group {
				return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestBody{
					RequestBody: &extproc.BodyResponse{},
				}}
			}
		}
	}
	return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ImmediateResponse{
		ImmediateResponse: &extproc.ImmediateResponse{
			Status:     &status.HttpStatus{Code: status.StatusCode_Forbidden},
			GrpcStatus: &extproc.GrpcStatus{Status: uint32(codes.PermissionDenied)},
			Body:       []byte("no role allows it"),
		},
	}}
}

// modelName reads field 1 of the first message of a gRPC body.
func modelName(body []byte) (string, bool) {
	if len(body) < framePrefix {
		return "", false
	}
	for b := body[framePrefix:]; len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return "", false
		}
		if num == 1 && typ == protowire.BytesType {
			name, m := protowire.ConsumeBytes(b[n:])
			return string(name), m > 0 && len(name) > 0
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return "", false
		}
		b = b[n+m:]
	}
	return "", false
}

// groups reads the claim of that name from what Envoy verified.
func groups(md *core.Metadata) []string {
	claims := md.GetFilterMetadata()[authnFilter].GetFields()[payloadKey].GetStructValue()
	var out []string
	for _, v := range claims.GetFields()["groups"].GetListValue().GetValues() {
		out = append(out, v.GetStringValue())
	}
	return out
}
