package rest_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/rest"
)

// described are the operations that the document of a door has.
func described(t *testing.T, door http.Handler) (document map[string]any, all []rest.Route) {
	t.Helper()
	w := httptest.NewRecorder()
	door.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d, %v", w.Code, err)
	}
	for path, item := range document["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			all = append(all, rest.Route{Method: strings.ToUpper(method), Path: path})
		}
	}
	return document, all
}

// refusing is a door to handlers that refuse every call, and say which it was.
func refusing(t *testing.T, openAI bool) *rest.Door {
	t.Helper()
	handlers := make(map[string]grpc.StreamHandler)
	desc := pb.GRPCInferenceService_ServiceDesc
	for _, m := range desc.Methods {
		handlers["/"+desc.ServiceName+"/"+m.MethodName] = refuse
	}
	for _, s := range desc.Streams {
		handlers["/"+desc.ServiceName+"/"+s.StreamName] = refuse
	}
	door, err := rest.New(rest.Options{Handlers: handlers, OpenAI: func() bool { return openAI }})
	if err != nil {
		t.Fatal(err)
	}
	return door
}

func refuse(any, grpc.ServerStream) error { return status.Error(codes.PermissionDenied, "refused") }

func compare(a, b rest.Route) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) }

func TestEveryRouteIsInTheDocument(t *testing.T) {
	served := rest.Routes()
	for _, openAI := range []bool{true, false} {
		want := slices.DeleteFunc(slices.Clone(served), func(r rest.Route) bool { return !openAI && strings.HasPrefix(r.Path, "/v1/") })
		_, got := described(t, refusing(t, openAI))
		slices.SortFunc(got, compare)
		slices.SortFunc(want, compare)
		if !slices.Equal(got, want) {
			t.Errorf("the document has\n%v\nand the door\n%v", got, want)
		}
	}
}

var variable = regexp.MustCompile(`\{\w+\}`)

// TestEveryRouteIsServed asks each route by each method: those of the table get as
// far as the chain, others do not.
func TestEveryRouteIsServed(t *testing.T) {
	on, off := refusing(t, true), refusing(t, false)
	methods := make(map[string][]string)
	for _, r := range rest.Routes() {
		methods[r.Path] = append(methods[r.Path], r.Method)
	}
	for _, path := range slices.Sorted(maps.Keys(methods)) {
		concrete := variable.ReplaceAllString(path, "1")
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"} {
			want := http.StatusMethodNotAllowed
			switch {
			case slices.Contains(methods[path], method) && path == "/openapi.json":
				want = http.StatusOK
			case slices.Contains(methods[path], method):
				want = http.StatusForbidden
			}
			if got := ask(on, method, concrete); got != want {
				t.Errorf("%s %s: %d, want %d", method, concrete, got, want)
			}
			if got := ask(off, method, concrete); strings.HasPrefix(path, "/v1/") && got != http.StatusNotFound {
				t.Errorf("%s %s: %d where OpenAI's routes are off", method, concrete, got)
			}
		}
	}
}

func ask(door http.Handler, method, path string) int {
	w := httptest.NewRecorder()
	door.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader("{}")))
	return w.Code
}

// TestTheDocumentIsWhole looks up every reference, and finds no part that nothing
// refers to.
func TestTheDocumentIsWhole(t *testing.T) {
	document, _ := described(t, refusing(t, true))
	used := make(map[string]bool)
	walk(document, func(ref string) { used[ref] = true })
	for kind, parts := range document["components"].(map[string]any) {
		for name := range parts.(map[string]any) {
			ref := "#/components/" + kind + "/" + name
			if kind != "securitySchemes" && !used[ref] {
				t.Errorf("nothing refers to %s", ref)
			}
			delete(used, ref)
		}
	}
	for ref := range used {
		t.Errorf("there is no %s", ref)
	}
	ids := make(map[any]bool)
	for path, item := range document["paths"].(map[string]any) {
		for _, operation := range item.(map[string]any) {
			id := operation.(map[string]any)["operationId"]
			if id == nil || ids[id] {
				t.Errorf("%s: operationId %v is missing or another's too", path, id)
			}
			ids[id] = true
		}
	}
}

func walk(v any, found func(ref string)) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			found(ref)
		}
		for _, value := range v {
			walk(value, found)
		}
	case []any:
		for _, value := range v {
			walk(value, found)
		}
	}
}
