package inference

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// maxFileName is the longest path component that file systems take. A load with
// a longer one killed Triton 2.51 (protocol/kserve-v2.md, section 4).
const maxFileName = 255

// filePrefix begins the keys of load parameters that are files.
const filePrefix = "file:"

func (s *Service) load(ctx context.Context, req *pb.RepositoryModelLoadRequest) (any, error) {
	all, refused := s.findAll(req.GetModelName())
	if refused != nil {
		return nil, refused
	}
	guarded := slices.ContainsFunc(all, func(b backends.Backend) bool { return b.Traits().Guard.LongFileNames })
	for key := range req.GetParameters() {
		if path, isFile := strings.CutPrefix(key, filePrefix); isFile {
			if problem := fileProblem(path, guarded); problem != "" {
				return nil, &access.Error{
					Kind: access.Malformed, Reason: access.ReasonUnsafeForBackend,
					Message: fmt.Sprintf("load parameter %s %s", access.Quote(key), problem),
				}
			}
		}
	}
	return answer(s.change(ctx, all, pb.GRPCInferenceService_RepositoryModelLoad_FullMethodName, req.GetModelName(), req))
}

// change makes a change of a model at each backend that has it, and answers what
// the first said. Where some of several fail, the error says which.
func (s *Service) change(ctx context.Context, all []backends.Backend, method, model string, req any) (*wire.Message, error) {
	var first *wire.Message
	var failed []string
	var why error
	for _, b := range all {
		resp, err := forward(ctx, b, method, req)
		s.models[b.Name()].Forget(model)
		switch {
		case err != nil:
			if failed = append(failed, b.Name()); why == nil {
				why = err
			}
		case first == nil:
			first = resp
		default:
			resp.Free()
		}
	}
	if why == nil {
		return first, nil
	}
	if first == nil {
		return nil, why
	}
	first.Free()
	return nil, partly(why, len(all), failed)
}

// partly is the error of a change that some backends did not make.
func partly(why error, of int, failed []string) error {
	code, text := codes.Unavailable, why.Error()
	if _, own := access.AsError(why); !own {
		st := status.Convert(why)
		code, text = st.Code(), st.Message()
	}
	return status.Errorf(code, "the change was made at %d of the model's %d backends; %s failed: %s", of-len(failed), of, strings.Join(failed, ", "), text)
}

// fileProblem says what is wrong with the path of a pushed file: a server
// writes it into the model's folder, and an old one wherever the path leads.
func fileProblem(path string, guardLong bool) string {
	if strings.HasPrefix(path, "/") || strings.ContainsFunc(path, unicode.IsControl) {
		return "must be a path within the model's folder"
	}
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case part == "..":
			return "leads out of the model's folder"
		case guardLong && len(part) > maxFileName:
			return fmt.Sprintf("has a path component of %d bytes, more than %d; shorten it", len(part), maxFileName)
		}
	}
	return ""
}

func (s *Service) unload(ctx context.Context, req *pb.RepositoryModelUnloadRequest) (any, error) {
	all, refused := s.findAll(req.GetModelName())
	if refused != nil {
		return nil, refused
	}
	return answer(s.change(ctx, all, pb.GRPCInferenceService_RepositoryModelUnload_FullMethodName, req.GetModelName(), req))
}

// maxSteps bounds how many models one ensemble may reach.
const maxSteps = 1000

// Dependents lists the models that unloading model with unload_dependents takes
// along: the steps of an ensemble, and those of its steps, as the server has
// them now. It is what policy asks about before the unload goes on. A model
// that the server does not know, or has unloaded, takes nothing along.
func (s *Service) Dependents(ctx context.Context, model string) ([]string, error) {
	all, refused := s.findAll(model)
	if refused != nil {
		return nil, refused
	}
	var found []string
	seen := map[string]bool{model: true}
	for _, b := range all {
		more, err := s.dependentsAt(ctx, b, model, seen)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// dependentsAt lists those that one backend has and that were not seen before.
func (s *Service) dependentsAt(ctx context.Context, b backends.Backend, model string, seen map[string]bool) ([]string, error) {
	models := s.models[b.Name()]
	asked := make(map[string]bool)
	var found []string
	for queue := []string{model}; len(queue) > 0; queue = queue[1:] {
		models.Forget(queue[0])
		config, err := models.Config(ctx, queue[0], "")
		if err != nil && status.Code(err) != codes.NotFound {
			return nil, err
		}
		for _, step := range config.GetEnsembleScheduling().GetStep() {
			name := step.GetModelName()
			if !asked[name] {
				asked[name] = true
				queue = append(queue, name)
			}
			if !seen[name] {
				seen[name] = true
				found = append(found, name)
			}
		}
		if len(asked) > maxSteps {
			return nil, &access.Error{
				Kind: access.PermissionDenied, Reason: access.ReasonUnsafeForBackend,
				Message: fmt.Sprintf("model %s has more than %d dependents; unload them by name", access.Quote(model), maxSteps),
			}
		}
	}
	return found, nil
}

func (s *Service) traceSetting(ctx context.Context, req *pb.TraceSettingRequest) (any, error) {
	const method = pb.GRPCInferenceService_TraceSetting_FullMethodName
	if req.GetModelName() != "" {
		return answer(s.forwardModel(ctx, method, req.GetModelName(), req))
	}
	return s.everywhere(ctx, method, req)
}

func (s *Service) logSettings(ctx context.Context, req *pb.LogSettingsRequest) (any, error) {
	return s.everywhere(ctx, pb.GRPCInferenceService_LogSettings_FullMethodName, req)
}

// everywhere sends a setting that no model has to each backend that knows it,
// and answers what the first one said.
func (s *Service) everywhere(ctx context.Context, method string, req any) (any, error) {
	var first *wire.Message
	err := s.each(func(b backends.Backend) error {
		resp, err := forward(ctx, b, method, req)
		switch {
		case err != nil:
			return err
		case first == nil:
			first = resp
		default:
			resp.Free()
		}
		return nil
	})
	if err != nil && first != nil {
		first.Free()
	}
	return answer(first, err)
}
