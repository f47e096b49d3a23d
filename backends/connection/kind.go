package connection

import (
	"slices"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// Kind is a flavour of server, in the words of the configuration.
type Kind string

// The flavours that tell themselves apart.
const (
	Triton   Kind = "triton"
	MLServer Kind = "mlserver"
	KServe   Kind = "kserve"
)

// tritons are the extensions that Triton names whatever it was started with, and
// no other server here does.
var tritons = []string{"model_repository(unload_dependents)", "schedule_policy", "model_configuration", "binary_tensor_data"}

// KindOf tells which flavour a server's metadata is of, "" for one that is not
// known. A Triton's name is whatever --id says, so that its extensions count
// before names; MLServer 1.7.1 has a name and no extensions, KServe 0.21 the
// extension "model_repository_extension", as seen on the wire. An MLServer whose
// server_name is configured can't be told.
func KindOf(m *inference.ServerMetadataResponse) Kind {
	has := func(e string) bool { return slices.Contains(m.GetExtensions(), e) }
	switch {
	case slices.ContainsFunc(tritons, has):
		return Triton
	case m.GetName() == "mlserver":
		return MLServer
	case m.GetName() == "kserve", has("model_repository_extension"):
		return KServe
	}
	return ""
}
