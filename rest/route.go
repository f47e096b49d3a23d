package rest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// route is where a request's path leads.
type route struct {
	// path is what the mux gets to see: segments as they were sent, so that
	// nothing is decoded twice or taken for a separator, with slashes in a model's
	// name written %2F.
	path string
	// aside tells that Triton has no such route: the model's name has a slash,
	// as names on LLM servers do.
	aside bool
}

const modelsPrefix = "/v2/models/"

// actions are what may follow a model's name.
var actions = []string{"infer", "generate", "generate_stream", "ready", "config", "stats"}

// routeOf finds the model's name in a path as it was sent. Triton matches paths
// whole and decodes none of them: a name that a client has percent-encoded stays
// so, in what policy decides on as in what is sent on. Only %2F is a slash, for
// the names that have some.
func routeOf(path, method string) (route, bool) {
	rest, ok := strings.CutPrefix(path, modelsPrefix)
	if !ok {
		return route{path: path}, strings.HasPrefix(path, "/")
	}
	segments := strings.Split(rest, "/")
	tail := ""
	switch n := len(segments); {
	case n > 2 && segments[n-2] == "trace" && segments[n-1] == "setting":
		segments, tail = segments[:n-2], "/trace/setting"
	case n > 1 && slices.Contains(actions, segments[n-1]):
		segments, tail = segments[:n-1], "/"+segments[n-1]
	}
	if n := len(segments); n > 2 && segments[n-2] == "versions" {
		if !digits(segments[n-1]) || tail == "/trace/setting" {
			return route{}, false
		}
		segments, tail = segments[:n-2], "/versions/"+segments[n-1]+tail
	}
	aside := len(segments) > 1
	if slices.Contains(segments, "") || aside && (slices.Contains(segments, "versions") || tail == "" && method != http.MethodGet) {
		return route{}, false
	}
	return route{path: modelsPrefix + strings.Join(segments, slash) + tail, aside: aside}, true
}

// About is what a request's path says of the call that it would be: the verb where
// the path is of inference, and the model if it could be one's name.
func About(r *http.Request) (verb access.Verb, model string) {
	to, ok := routeOf(r.URL.EscapedPath(), r.Method)
	rest, named := strings.CutPrefix(to.path, modelsPrefix)
	segment, action, _ := strings.Cut(rest, "/")
	model = modelName(segment)
	if !ok || !named || segment == "stats" || strings.Contains(model, "%") || access.CheckModelName(model) != nil { // what is encoded, masking would not find
		return access.None, ""
	}
	if inferences[action[strings.LastIndexByte(action, '/')+1:]] != nil {
		verb = access.Infer
	}
	return verb, model
}

// slash is how a slash within a model's name is written in a path.
const slash = "%2F"

// modelName is the name of the model that a segment of a path means.
func modelName(segment string) string {
	if !strings.Contains(segment, "%2") {
		return segment
	}
	return strings.ReplaceAll(strings.ReplaceAll(segment, slash, "/"), "%2f", "/")
}

func digits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
