// Package vllm speaks to vLLM's own server: OpenAI's routes (package openai), and
// those for its health, its version, and LoRA adapters that come and go while
// it runs.
//
// Facts are those of protocol/vllm-openai.md, vLLM 0.32. Adapters are loaded only
// by a server that runs with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1.
package vllm

import (
	"context"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/openai"
)

// Server is one vLLM.
type Server struct {
	*openai.Server
	client *generate.Client
}

var (
	_ generate.Server   = (*Server)(nil)
	_ generate.Embedder = (*Server)(nil)
	_ generate.Adapters = (*Server)(nil)
)

// New returns the server that client reaches.
func New(client *generate.Client) *Server {
	return &Server{Server: openai.New(client, openai.VLLM), client: client}
}

// Version asks the server for its version.
func (s *Server) Version(ctx context.Context) (string, error) {
	var v struct {
		Version string `json:"version"`
	}
	err := s.client.Call(ctx, http.MethodGet, "/version", nil, &v)
	return v.Version, err
}

type loadRequest struct {
	Name  string `json:"lora_name"`
	Path  string `json:"lora_path"`
	Again bool   `json:"load_inplace,omitempty"`
}

// Load loads an adapter. The server answers bare text.
func (s *Server) Load(ctx context.Context, name, path string, again bool) error {
	return s.client.Call(ctx, http.MethodPost, "/v1/load_lora_adapter", loadRequest{name, path, again}, nil)
}

// Unload unloads an adapter. One that the server does not have is unloaded.
func (s *Server) Unload(ctx context.Context, name string) error {
	err := s.client.Call(ctx, http.MethodPost, "/v1/unload_lora_adapter", map[string]string{"lora_name": name}, nil)
	if status.Code(err) == codes.NotFound {
		return nil
	}
	return err
}
