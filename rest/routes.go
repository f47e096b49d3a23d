package rest

import (
	"net/http"
	"slices"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"

	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// documentPath is where the door says what it serves.
const documentPath = "/openapi.json"

// Route is a method and the pattern of a path, whose variables stand in braces.
type Route struct{ Method, Path string }

// Routes are all that the door serves, OpenAI's included.
func Routes() []Route {
	all := append(annotated(), Route{http.MethodGet, documentPath})
	for action := range inferences {
		for _, prefix := range modelPatterns {
			all = append(all, Route{http.MethodPost, prefix + action})
		}
	}
	for _, r := range v1Routes {
		all = append(all, Route{r.method, r.path})
	}
	return all
}

// modelPatterns are where a model's actions are.
var modelPatterns = []string{"/v2/models/{name}/", "/v2/models/{name}/versions/{version}/"}

// annotated are the routes that grpc-gateway makes of proto/inference.
func annotated() (all []Route) {
	methods := pb.File_inference_grpc_service_proto.Services().ByName("GRPCInferenceService").Methods()
	for i := range methods.Len() {
		rule, _ := proto.GetExtension(methods.Get(i).Options(), annotations.E_Http).(*annotations.HttpRule)
		for _, r := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
			all = append(all, Route{http.MethodGet, r.GetGet()}, Route{http.MethodPost, r.GetPost()})
		}
	}
	return slices.DeleteFunc(all, func(r Route) bool { return r.Path == "" })
}

// document serves the OpenAPI document to anybody: it says what every Sluice serves.
func (x *exchange) document(path string) bool {
	switch {
	case path != documentPath:
		return false
	case x.http.Method != http.MethodGet:
		x.write(http.StatusMethodNotAllowed, textPlain, "Method Not Allowed")
	case x.door.opts.OpenAI != nil && x.door.opts.OpenAI():
		x.answerV1(x.door.documents[1])
	default:
		x.answerV1(x.door.documents[0])
	}
	return true
}
