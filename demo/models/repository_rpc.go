package models

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// unloaded is the reason that the index shows for a model that was unloaded.
const unloaded = "unloaded"

// errRepositoryName answers a request that names a repository.
var errRepositoryName = status.Error(codes.Unimplemented, "'repository_name' specification is not supported")

// RepositoryIndex implements the RPC of that name.
func (s *Server) RepositoryIndex(_ context.Context, req *inference.RepositoryIndexRequest) (*inference.RepositoryIndexResponse, error) {
	if req.GetRepositoryName() != "" {
		return nil, errRepositoryName
	}
	s.models.mu.RLock()
	defer s.models.mu.RUnlock()
	index := &inference.RepositoryIndexResponse{}
	for _, e := range s.models.entries {
		if e.ready || !req.GetReady() {
			index.Models = append(index.Models, e.index())
		}
	}
	return index, nil
}

// index is e's row. The caller holds the repository's lock.
func (e *entry) index() *inference.RepositoryIndexResponse_ModelIndex {
	row := &inference.RepositoryIndexResponse_ModelIndex{Name: e.model.config.GetName()}
	if e.last == nil {
		return row
	}
	row.Version = strconv.FormatInt(e.last.version, 10)
	switch {
	case e.ready:
		row.State = "READY"
	case e.last.running.Load() > 0:
		row.State = "UNLOADING"
	default:
		row.State, row.Reason = "UNAVAILABLE", e.reason
	}
	return row
}

// RepositoryModelLoad implements the RPC of that name. It answers when the
// model is ready. A configuration that is pushed stays until the next load
// without one; files that are pushed give the model its version and nothing
// else, since there is nothing here that could run them.
func (s *Server) RepositoryModelLoad(ctx context.Context, req *inference.RepositoryModelLoadRequest) (*inference.RepositoryModelLoadResponse, error) {
	if req.GetRepositoryName() != "" {
		return nil, errRepositoryName
	}
	o, err := readOverride(req.GetParameters())
	if err != nil {
		return nil, err
	}
	name := req.GetModelName()
	if err := checkName(name); err != nil {
		return nil, err
	}
	s.models.mu.RLock()
	e := s.models.entry(name)
	s.models.mu.RUnlock()
	if e == nil {
		return nil, notPolled(name)
	}
	config, reason, err := o.apply(e.model.config)
	if err != nil {
		return nil, notPolled(name)
	}
	if reason != "" {
		s.models.spoil(e, o.version, reason)
		return nil, invalid("load failed for model '%s': version %d is at UNAVAILABLE state: %s;\n", name, o.version, reason)
	}
	s.models.install(e, newInstance(e.model, config, o.version))
	s.log.InfoContext(ctx, "model loaded", slog.String("model", name), slog.Int64("version", o.version), slog.Bool("override", o.given))
	return &inference.RepositoryModelLoadResponse{}, nil
}

// checkName refuses what is no name, as Tritons newer than 2.51 do.
func checkName(name string) error {
	switch trimmed := strings.TrimSpace(name); {
	case trimmed == "":
		return invalid("Model name cannot be empty. Please enter a valid name to deploy.")
	case trimmed == ".." || strings.Contains(trimmed, "/"):
		return invalid("invalid model name '%s', model name must not contain path traversal characters", name)
	}
	return nil
}

// notPolled is Triton's one answer to a model that it does not have and to a
// configuration that it cannot read.
func notPolled(name string) error {
	return status.Errorf(codes.Internal, "failed to load '%s', failed to poll from model repository", name)
}

// RepositoryModelUnload implements the RPC of that name. A model that is not
// loaded, or not known, is unloaded as it is. No model here has dependents.
func (s *Server) RepositoryModelUnload(ctx context.Context, req *inference.RepositoryModelUnloadRequest) (*inference.RepositoryModelUnloadResponse, error) {
	if req.GetRepositoryName() != "" {
		return nil, errRepositoryName
	}
	if p, ok := req.GetParameters()["unload_dependents"]; ok {
		if _, ok := p.GetParameterChoice().(*inference.ModelRepositoryParameter_BoolParam); !ok {
			return nil, invalid("invalid value type for 'unload_dependents' parameter, expected bool_param.")
		}
	}
	if s.models.unload(req.GetModelName()) {
		s.log.InfoContext(ctx, "model unloaded", slog.String("model", req.GetModelName()))
	}
	return &inference.RepositoryModelUnloadResponse{}, nil
}
