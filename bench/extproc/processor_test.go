package main

import (
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

func verified(t *testing.T, groups ...any) *core.Metadata {
	t.Helper()
	claims, err := structpb.NewStruct(map[string]any{
		payloadKey: map[string]any{"groups": groups},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &core.Metadata{FilterMetadata: map[string]*structpb.Struct{authnFilter: claims}}
}

func TestDecision(t *testing.T) {
	infer := "\x00\x00\x00\x00\x08\x0a\x06simple"
	tests := map[string]struct {
		body    string
		groups  []any
		allowed bool
	}{
		"member":             {infer, []any{"others", "ml-users"}, true},
		"stranger":           {infer, []any{"others"}, false},
		"nobody":             {infer, nil, false},
		"model after id":     {"\x00\x00\x00\x00\x07\x1a\x01q\x0a\x02ab", []any{"ml-users"}, true},
		"no model":           {"\x00\x00\x00\x00\x03\x1a\x01q", []any{"ml-users"}, false},
		"empty model":        {"\x00\x00\x00\x00\x02\x0a\x00", []any{"ml-users"}, false},
		"cut short":          {infer[:9], []any{"ml-users"}, false},
		"shorter than frame": {"\x00\x00", []any{"ml-users"}, false},
	}
	p := &processor{group: "ml-users"}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			resp, err := p.answer(&extproc.ProcessingRequest{
				MetadataContext: verified(t, tt.groups...),
				Request: &extproc.ProcessingRequest_RequestBody{
					RequestBody: &extproc.HttpBody{Body: []byte(tt.body), EndOfStream: true},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.GetRequestBody() != nil; got != tt.allowed {
				t.Errorf("allowed = %v, want %v (%v)", got, tt.allowed, resp)
			}
			if refused := resp.GetImmediateResponse() != nil; refused == tt.allowed {
				t.Errorf("refused = %v", refused)
			}
		})
	}
}

func TestAnswersGoOn(t *testing.T) {
	p := &processor{group: "ml-users"}
	resp, err := p.answer(&extproc.ProcessingRequest{
		Request: &extproc.ProcessingRequest_ResponseBody{ResponseBody: &extproc.HttpBody{}},
	})
	if err != nil || resp.GetResponseBody() == nil {
		t.Errorf("answer %v, %v", resp, err)
	}
	if _, err := p.answer(&extproc.ProcessingRequest{
		Request: &extproc.ProcessingRequest_RequestTrailers{},
	}); err == nil {
		t.Error("answered a question that the configuration leaves out")
	}
}
