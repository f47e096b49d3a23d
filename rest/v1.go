package rest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest/inprocess"
	"github.com/sluice-gateway/sluice/rest/openai"
)

// v1Prefix begins the routes of OpenAI's API.
const v1Prefix = "/v1/"

// v1Route is a route of OpenAI's API. A path that ends in "{model}" takes any
// model's name there, slashes and all.
type v1Route struct {
	method, path string
	serve        func(x *exchange, ctx context.Context, model string)
}

const modelSegment = "{model}"

// v1Routes are all of them.
var v1Routes = []v1Route{
	{http.MethodGet, "/v1/models", (*exchange).listModels},
	{http.MethodGet, "/v1/models/" + modelSegment, (*exchange).oneModel},
	{http.MethodPost, "/v1/completions", prompted(openai.Completions)},
	{http.MethodPost, "/v1/chat/completions", prompted(openai.Chat)},
	{http.MethodPost, "/v1/embeddings", prompted(openai.Embeddings)},
}

// v1 serves OpenAI's API, unless it is off or the path is not of it.
func (x *exchange) v1(path string) bool {
	if !strings.HasPrefix(path, v1Prefix) || x.door.opts.OpenAI == nil || !x.door.opts.OpenAI() {
		return false
	}
	allowed := ""
	for _, route := range v1Routes {
		model, ok := route.match(path)
		switch {
		case !ok:
		case route.method != x.http.Method:
			allowed = route.method
		default:
			ctx := inprocess.WithCaller(context.WithValue(x.http.Context(), exchangeKey{}, x), &x.caller)
			ctx, cancel, err := x.deadline(ctx)
			if err != nil {
				x.failV1(err, "")
				return true
			}
			defer cancel()
			route.serve(x, ctx, model)
			return true
		}
	}
	if allowed != "" {
		x.Header().Set("Allow", allowed)
		x.writeV1(&openai.Error{Status: http.StatusMethodNotAllowed, Message: "not allowed to " + x.http.Method + " here, use " + allowed})
		return true
	}
	x.writeV1(&openai.Error{Status: http.StatusNotFound, Message: "there is no such route", Code: "unknown_url"})
	return true
}

// match tells whether a path is the route's, and which model it names.
func (r *v1Route) match(path string) (model string, ok bool) {
	prefix, named := strings.CutSuffix(r.path, modelSegment)
	if !named {
		return "", path == r.path
	}
	segment, ok := strings.CutPrefix(path, prefix)
	if !ok || segment == "" {
		return "", false
	}
	model, err := url.PathUnescape(segment)
	return model, err == nil
}

// models are the language models that the caller sees and may infer on: the
// repository's index, which the whole chain has passed, less those that are none.
func (x *exchange) models(ctx context.Context) ([]string, error) {
	index := new(pb.RepositoryIndexResponse)
	err := x.door.conn.Invoke(ctx, pb.GRPCInferenceService_RepositoryIndex_FullMethodName, &pb.RepositoryIndexRequest{Ready: true}, index)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, m := range index.GetModels() {
		if slices.Contains(names, m.GetName()) {
			continue // another version
		}
		config, err := x.door.opts.ModelConfig(ctx, x.call, m.GetName(), "")
		if cause := ctx.Err(); cause != nil {
			return nil, status.FromContextError(cause).Err()
		}
		if err == nil && openai.IsLanguageModel(config) {
			names = append(names, m.GetName())
		}
	}
	return names, nil
}

func (x *exchange) listModels(ctx context.Context, _ string) {
	names, err := x.models(ctx)
	if err != nil {
		x.failV1(err, "")
		return
	}
	x.answerV1(openai.ModelList(names, x.door.opened))
}

// oneModel looks a model up in the list, so that one which the caller may not see is
// answered like one that there is not.
func (x *exchange) oneModel(ctx context.Context, model string) {
	names, err := x.models(ctx)
	switch {
	case err != nil:
		x.failV1(err, "")
	case !slices.Contains(names, model):
		x.writeV1(&openai.Error{
			Status: http.StatusNotFound, Param: "model",
			Message: "the model " + access.Quote(model) + " does not exist, or you may not use it, or it is no language model",
		})
	default:
		x.answerV1(openai.OneModel(model, x.door.opened))
	}
}

// answerV1 answers with a whole body.
func (x *exchange) answerV1(body []byte) {
	x.Header().Set("Content-Type", applicationJSON)
	out := newOutput(x, x.http.Header.Get("Accept-Encoding"))
	defer out.close()
	out.last(body, true)
}

// failV1 answers an error that the chain returned. param is the field that it is
// about, if it is one.
func (x *exchange) failV1(err error, param string) {
	var wrong *openai.Error
	if errors.As(err, &wrong) {
		x.writeV1(wrong)
		return
	}
	x.writeV1(x.errorV1(err, param))
}

// errorV1 is an error of the chain's in OpenAI's shape. What gRPC has in details
// goes into headers, if there is still time for them.
func (x *exchange) errorV1(err error, param string) *openai.Error {
	st := status.Convert(err)
	e := &openai.Error{Status: statusOf(st.Code()), Message: st.Message(), Param: param}
	switch {
	case x.failed != nil && st.Code() == codes.InvalidArgument && e.Message == x.failed.Text:
		e.Status = x.failed.Status
	case st.Code() == codes.NotFound:
		e.Param = "model"
	}
	if !x.wrote {
		setDetails(x.Header(), st, e.Status)
		e.Code = x.Header().Get(reasonHeader)
	}
	return e
}

// writeV1 answers an error. Nothing has been written before.
func (x *exchange) writeV1(e *openai.Error) {
	h := x.Header()
	h.Set("Content-Type", applicationJSON)
	h.Set("X-Content-Type-Options", "nosniff") // a text may quote what a caller sent
	x.WriteHeader(e.Status)
	_, _ = x.Write(e.JSON())
}

// now is the time as answers tell it.
func now() int64 { return time.Now().Unix() }
