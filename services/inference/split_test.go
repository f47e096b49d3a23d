package inference_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/backends/backendstest"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// TestAChangeIsMadeAtEveryBackendOfAModel, whichever of them is the caller's.
func TestAChangeIsMadeAtEveryBackendOfAModel(t *testing.T) {
	well := backendstest.Script{"RepositoryModelLoad": say1(&pb.RepositoryModelLoadResponse{}), "RepositoryModelUnload": say1(&pb.RepositoryModelUnloadResponse{})}
	failure := []backendstest.Step{backendstest.Receive(), backendstest.Fail(codes.Internal, "failed to load")}
	bad := backendstest.Script{"RepositoryModelLoad": failure, "RepositoryModelUnload": failure}
	for _, c := range []struct {
		name string
		a, b backendstest.Script
		want string
	}{
		{"well", well, well, ""},
		{"fails at one", well, bad, "the change was made at 1 of the model's 2 backends; b failed: failed to load"},
		{"fails at the other", bad, well, "the change was made at 1 of the model's 2 backends; a failed: failed to load"},
		{"fails at both", bad, bad, "failed to load"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, map[string]backendstest.Script{"a": c.a, "b": c.b})
				_, load := r.client.RepositoryModelLoad(t.Context(), &pb.RepositoryModelLoadRequest{ModelName: "m@both"})
				_, unload := r.client.RepositoryModelUnload(t.Context(), &pb.RepositoryModelUnloadRequest{ModelName: "m@both"})
				for _, err := range []error{load, unload} {
					code := codes.OK
					if c.want != "" {
						code = codes.Internal
					}
					if st := status.Convert(err); st.Message() != c.want || st.Code() != code {
						t.Errorf("got %v, want %q", err, c.want)
					}
				}
				for name, b := range r.backends {
					if n := len(b.Calls()); n != 2 {
						t.Errorf("backend %s was told %d times", name, n)
					}
				}
			})
		})
	}
}

// TestDependentsOfEveryBackend: an unload goes to all, so what any of them takes
// along is asked about.
func TestDependentsOfEveryBackend(t *testing.T) {
	ensemble := func(steps ...string) backendstest.Script {
		return backendstest.Script{"ModelConfig": {backendstest.Receive(), func(c *backendstest.Call) error {
			config := &pb.ModelConfig{}
			if string(c.Messages()[0][2:]) == "m@both" {
				e := &pb.ModelEnsembling{}
				for _, s := range steps {
					e.Step = append(e.Step, &pb.ModelEnsembling_Step{ModelName: s})
				}
				config.SchedulingChoice = &pb.ModelConfig_EnsembleScheduling{EnsembleScheduling: e}
			}
			return backendstest.Send(&pb.ModelConfigResponse{Config: config})(c)
		}}}
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, map[string]backendstest.Script{"a": ensemble("x", "y"), "b": ensemble("y", "secret")})
		got, err := r.service.Dependents(t.Context(), "m@both")
		slices.Sort(got)
		if err != nil || !slices.Equal(got, []string{"secret", "x", "y"}) {
			t.Errorf("got %q, %v", got, err)
		}
	})
}
