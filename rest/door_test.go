package rest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// TestRoutes: which call a request makes, or what it is answered without one.
// The answers are those of a Triton 2.51 (e2e/test_rest_parity.py asks one).
func TestRoutes(t *testing.T) {
	const (
		none    = `404 text/plain {"error":"Not Found"}`
		method  = `405 application/json {"error":"Method Not Allowed"}`
		methodT = `405 text/plain {"error":"Method Not Allowed"}`
	)
	r := newRig(t)
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/v2", "", `ServerMetadata`},
		{"GET", "/v2?x=1", "", `ServerMetadata`},
		{"GET", "/v2/", "", none},
		{"GET", "/", "", none},
		{"POST", "/v2", "", method},
		{"GET", "/v2/health/live", "", `ServerLive`},
		{"GET", "/v2/health/ready", "", `ServerReady`},
		{"HEAD", "/v2/health/live", "", methodT},
		{"GET", "/v2/health/other", "", none},
		{"GET", "/v2/models/m", "", `ModelMetadata name:"m"`},
		{"GET", "/v2/models/m?name=n&version=2", "", `ModelMetadata name:"m"`},
		{"GET", "/v2/models/m/", "", none},
		{"GET", "/v2/models//ready", "", none},
		{"GET", "/v2/models/m/versions/1", "", `ModelMetadata name:"m" version:"1"`},
		{"GET", "/v2/models/m/versions/x", "", none},
		{"GET", "/v2/models/m/versions/1x", "", none},
		{"GET", "/v2/models/m/versions/%31", "", none},
		{"GET", "/v2/models/m/versions", "", none},
		{"GET", "/v2/models/m/versions/1/versions/2", "", none},
		{"GET", "/v2/models/m/ready", "", `ModelReady name:"m"`},
		{"GET", "/v2/models/m/versions/1/ready", "", `ModelReady name:"m" version:"1"`},
		{"POST", "/v2/models/m/ready", "", methodT},
		{"GET", "/v2/models/m/config", "", `ModelConfig name:"m"`},
		{"GET", "/v2/models/m/stats", "", `ModelStatistics name:"m"`},
		{"GET", "/v2/models/m/versions/3/stats", "", `ModelStatistics name:"m" version:"3"`},
		{"GET", "/v2/models/stats", "", `ModelStatistics`},
		{"GET", "/v2/models/stats?name=secret", "", `ModelStatistics`},
		{"GET", "/v2/models/stats/stats", "", `ModelStatistics name:"stats"`},
		{"GET", "/v2/models/stats/ready", "", `ModelReady name:"stats"`},
		{"GET", "/v2/models/infer", "", `ModelMetadata name:"infer"`},
		{"GET", "/v2/models/m:ready", "", `ModelMetadata name:"m:ready"`},
		{"GET", "/v2/models/a%20b", "", `ModelMetadata name:"a%20b"`},
		{"GET", "/v2/models/%2e%2e", "", `ModelMetadata name:"%2e%2e"`},
		{"GET", "/v2/models/a%252Fb", "", `ModelMetadata name:"a%252Fb"`},
		{"GET", "/v2/models/a%2Fb", "", `ModelMetadata name:"a/b"`},
		{"GET", "/v2/models/a%2fb/ready", "", `ModelReady name:"a/b"`},
		{"GET", "/v2/models/a/b", "", `ModelMetadata name:"a/b"`},
		{"GET", "/v2/models/a/b/config", "", `ModelConfig name:"a/b"`},
		{"GET", "/v2/models/a/b/versions/1/config", "", `ModelConfig name:"a/b" version:"1"`},
		{"POST", "/v2/models/a/b", "", none},
		{"GET", "/v2/models/../v2/repository", "", `ModelMetadata name:"../v2/repository"`},
		{"GET", "/v2/models/a//b", "", none},
		{"PUT", "/v2/models/m", "", method},
		{"DELETE", "/v2/models/m", "", method},
		{"GET", "/v2/models/m/infer", "", methodT},
		{"GET", "/v2/models/m/generate", "", method},
		{"POST", "/v2/models/m/infer", `{"inputs":[]}`, `ModelInfer model_name:"m"`},
		{"POST", "/v2/models/m/versions/2/infer", `{"inputs":[]}`, `ModelInfer model_name:"m" model_version:"2"`},
		{"POST", "/v2/models/a/b/infer", `{"inputs":[]}`, `ModelInfer model_name:"a/b"`},
		{"POST", "/v2/models/a%2Fb/infer", `{"inputs":[]}`, `ModelInfer model_name:"a/b"`},
		{"POST", "/v2/models/a%2525/infer", `{"inputs":[]}`, `ModelInfer model_name:"a%2525"`},
		{"POST", "/v2/models/m/infer", `{"inputs":[],"model_name":"n","model_version":"3"}`, `ModelInfer model_name:"m"`},
		{"POST", "/v2/models/m/generate", `{}`, `ModelStreamInfer model_name:"m"`},
		{"POST", "/v2/models/m/versions/1/generate_stream", `{"text":"a"}`, `ModelStreamInfer model_name:"m" model_version:"1" inputs:{name:"text" datatype:"BYTES" shape:1} raw_input_contents:"\x01\x00\x00\x00a"`},
		{"POST", "/v2/models/a/b/generate", `{}`, `ModelStreamInfer model_name:"a/b"`},
		{"GET", "/v2/trace/setting", "", `TraceSetting`},
		{"POST", "/v2/trace/setting", `{"trace_rate":"1"}`, `TraceSetting settings:{key:"trace_rate" value:{value:"1"}}`},
		{"GET", "/v2/models/m/trace/setting", "", `TraceSetting model_name:"m"`},
		{"POST", "/v2/models/m/trace/setting", `{"trace_rate":null,"model_name":"n"}`, `TraceSetting settings:{key:"trace_rate" value:{}} model_name:"m"`},
		{"GET", "/v2/models/m/versions/1/trace/setting", "", none},
		{"GET", "/v2/logging", "", `LogSettings`},
		{"POST", "/v2/logging", `{"log_info":true}`, `LogSettings settings:{key:"log_info" value:{bool_param:true}}`},
		{"DELETE", "/v2/logging", "", method},
		{"GET", "/v2/repository/index", "", method},
		{"POST", "/v2/repository/index", "", `RepositoryIndex`},
		{"POST", "/v2/repository/index", `{"ready":true,"repository_name":"r"}`, `RepositoryIndex ready:true`},
		{"POST", "/v2/repository/r/index", "", `RepositoryIndex`},
		{"POST", "/v2/repository/models/m/load", "", `RepositoryModelLoad model_name:"m"`},
		{"POST", "/v2/repository/models/a%2Fb/load", "", `RepositoryModelLoad model_name:"a/b"`},
		{"POST", "/v2/repository/r/models/m/load", "", `RepositoryModelLoad repository_name:"r" model_name:"m"`},
		{"POST", "/v2/repository/models/m/unload", `{"parameters":{"unload_dependents":true},"model_name":"n"}`, `RepositoryModelUnload model_name:"m" parameters:{key:"unload_dependents" value:{bool_param:true}}`},
		{"GET", "/v2/repository/models/m/load", "", method},
		{"POST", "/v2/repository/models/a/b/load", "", none},
		{"GET", "/v2/systemsharedmemory/status", "", `SystemSharedMemoryStatus`},
		{"GET", "/v2/systemsharedmemory/region/r/status", "", `SystemSharedMemoryStatus name:"r"`},
		{"POST", "/v2/systemsharedmemory/region/r/register", `{"key":"/k","byte_size":1,"name":"s"}`, `SystemSharedMemoryRegister name:"r" key:"/k" byte_size:1`},
		{"POST", "/v2/systemsharedmemory/region/r%2Fs/unregister", "", `SystemSharedMemoryUnregister name:"r%2Fs"`},
		{"POST", "/v2/systemsharedmemory/unregister", "", `SystemSharedMemoryUnregister`},
		{"POST", "/v2/systemsharedmemory/register", "", `400 application/json {"error":"'region name' is necessary to register system shared memory region"}`},
		{"GET", "/v2/cudasharedmemory/region/r/status", "", `CudaSharedMemoryStatus name:"r"`},
		{"POST", "/v2/cudasharedmemory/unregister", "", `CudaSharedMemoryUnregister`},
		{"OPTIONS", "/v2/models/m", "", method},
		{"OPTIONS", "*", "", none},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			w := r.ask(c.method, c.path, c.body)
			if c.want[0] >= '0' && c.want[0] <= '9' {
				if got := said(w); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				if strings.HasPrefix(c.want, "40") && !strings.HasPrefix(c.want, "400") {
					r.none()
				} else {
					r.last()
				}
				return
			}
			s := r.last()
			name, text, _ := strings.Cut(c.want, " ")
			want := request("/" + name)
			if err := prototext.Unmarshal([]byte(text), want); err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(s.method, "/"+name) || !proto.Equal(s.request, want) || w.Code != http.StatusOK || s.door != "rest" {
				t.Errorf("got %s %v and %s, want %s", s.method, s.request, said(w), c.want)
			}
		})
	}
}

func TestWhatSaysNoIsNot200(t *testing.T) {
	r := newRig(t)
	for path, c := range map[string]struct {
		no   proto.Message
		want string
	}{
		"/v2/health/live":    {&pb.ServerLiveResponse{}, "400 text/plain "},
		"/v2/health/ready":   {&pb.ServerReadyResponse{}, "400 text/plain "},
		"/v2/models/m/ready": {&pb.ModelReadyResponse{}, `400 text/plain {"error":"Model version not ready"}`},
	} {
		r.answer = func(seen) ([]proto.Message, error) { return []proto.Message{c.no}, nil }
		if got := said(r.ask("GET", path, "")); got != c.want {
			t.Errorf("%s: got %s, want %s", path, got, c.want)
		}
	}
}

// TestAttemptedSpoof: what this hop and the gRPC stack say themselves can't be
// said by a caller, under any name that some gateway gives it.
func TestAttemptedSpoof(t *testing.T) {
	r := newRig(t)
	w := r.ask("POST", "/v2/models/m/infer", `{"inputs":[]}`,
		"Authorization", "Bearer mine", "X-Request-Id", "r1", "Sluice-Reason", "a reason", "X-Forwarded-For", "1.2.3.4", "X-Custom", "yes", "X-Custom", "again", "Cookie", "c=d",
		"Grpc-Metadata-Authorization", "Bearer theirs", "Grpc-Metadata-X-Forwarded-For", "127.0.0.1", "Grpcgateway-Authorization", "Bearer theirs", "grpcgateway-cookie", "x",
		"Grpc-Timeout", "1S", "Grpc-Encoding", "gzip", ":authority", "evil", ":path", "/x", "Te", "trailers", "Content-Type", "application/grpc", "User-Agent", "u", "Accept", "*/*",
		"Host", "evil", "Forwarded", "for=127.0.0.1", "X-Http-Method-Override", "DELETE", "Triton_grpc_error", "true", "X-Data-Bin", "AAAA", "X Bad", "x", "X-Bytes", "a\xffb", "X-Line", "a\nb")
	s := r.last()
	want := map[string][]string{
		"authorization": {"Bearer mine"}, "x-request-id": {"r1"}, "sluice-reason": {"a reason"}, "x-forwarded-for": {"1.2.3.4"}, "x-custom": {"yes", "again"}, "cookie": {"c=d"},
	}
	if got := keys(s.metadata); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("metadata is %v\nwant %v", got, want)
	}
	if s.door != "rest" || s.peer.String() != "192.0.2.1:1234" {
		t.Errorf("came through %q from %v", s.door, s.peer)
	}
	if w.Code != http.StatusOK || w.Header().Get("X-Request-Id") != "0123456789abcdef" {
		t.Errorf("got %s with %v", said(w), w.Header())
	}
}

func TestOnlyTheDoorAsksForStatusesInStreams(t *testing.T) {
	r := newRig(t)
	r.ask("POST", "/v2/models/m/generate", `{}`, "Triton_grpc_error", "false")
	if got := r.last().metadata["triton_grpc_error"]; len(got) != 1 || got[0] != "true" {
		t.Errorf("triton_grpc_error is %q", got)
	}
}

// TestAMethodIsWhatItIs: no header, form or query makes another of it.
func TestAMethodIsWhatItIs(t *testing.T) {
	r := newRig(t)
	for _, headers := range [][]string{
		{"X-Http-Method-Override", "GET", "Content-Type", "application/x-www-form-urlencoded"},
		{"X-HTTP-Method-Override", "GET"},
		{"X-Method-Override", "GET"},
		{"Content-Type", "application/x-www-form-urlencoded"},
	} {
		for _, path := range []string{"/v2/models/m", "/v2/models/m?_method=GET", "/v2/systemsharedmemory/status"} {
			if w := r.ask("POST", path, "_method=GET", headers...); w.Code != http.StatusMethodNotAllowed {
				t.Errorf("POST %s with %q: %s", path, headers, said(w))
			}
		}
	}
	r.none()
}

// TestWhatIsWrong is DESIGN's table of answers, and Triton's of its codes.
func TestWhatIsWrong(t *testing.T) {
	refused := func(kind access.ErrorKind, reason string) error {
		return toStatus(&access.Error{Kind: kind, Reason: reason, Message: "no", RetryAfter: map[bool]time.Duration{true: 1500 * time.Millisecond}[kind == access.Exhausted]})
	}
	r := newRig(t)
	for _, c := range []struct {
		name   string
		err    error
		status int
		header string
		value  string
	}{
		{"no token", refused(access.Unauthenticated, access.ReasonTokenMissing), 401, "Www-Authenticate", "Bearer"},
		{"a bad token", refused(access.Unauthenticated, access.ReasonTokenInvalid), 401, "Www-Authenticate", `Bearer error="invalid_token"`},
		{"an expired token", refused(access.Unauthenticated, access.ReasonTokenExpired), 401, "Www-Authenticate", `Bearer error="invalid_token"`},
		{"no role", refused(access.PermissionDenied, access.ReasonNoRole), 403, "Sluice-Reason", access.ReasonNoRole},
		{"needs a person", refused(access.NeedsApproval, "NEEDS"), 409, "Sluice-Reason", "NEEDS"},
		{"a limit", refused(access.Exhausted, access.ReasonInFlight), 429, "Retry-After", "2"},
		{"a backend's limit", status.Error(codes.ResourceExhausted, "no"), 429, "Retry-After", "1"},
		{"a backend is gone", refused(access.Unavailable, access.ReasonBackendAway), 503, "Sluice-Reason", access.ReasonBackendAway},
		{"malformed", refused(access.Malformed, access.ReasonModelName), 400, "Sluice-Reason", access.ReasonModelName},
		{"internal", refused(access.Internal, access.ReasonInternal), 500, "Sluice-Reason", access.ReasonInternal},
		{"unknown to Triton", status.Error(codes.NotFound, "no"), 404, "Sluice-Reason", ""},
		{"unknown", status.Error(codes.Unknown, "no"), 400, "", ""},
		{"exists already", status.Error(codes.AlreadyExists, "no"), 400, "", ""},
		{"unsupported", status.Error(codes.Unimplemented, "no"), 501, "", ""},
		{"cancelled", status.Error(codes.Canceled, "no"), 400, "", ""},
		{"too late", status.Error(codes.DeadlineExceeded, "no"), 504, "", ""},
		{"something else", status.Error(codes.DataLoss, "no"), 500, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.answer = func(seen) ([]proto.Message, error) { return nil, c.err }
			for _, path := range []string{"/v2/models/m/config", "/v2/models/m/infer", "/v2/models/m/generate"} {
				method, body := http.MethodPost, `{"inputs":[]}`
				if strings.HasSuffix(path, "config") {
					method, body = http.MethodGet, ""
				} else if strings.HasSuffix(path, "generate") {
					body = "{}"
				}
				w := r.ask(method, path, body)
				if w.Code != c.status || w.Body.String() != `{"error":"no"}` || w.Header().Get(c.header) != c.value || w.Header().Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%s: %s with %v", path, said(w), w.Header())
				}
			}
		})
	}
}

// TestOfAPathThatTritonHasNotNotFoundIsTheRoutes: a name with a slash, which no
// Triton has.
func TestOfAPathThatTritonHasNotNotFoundIsTheRoutes(t *testing.T) {
	r := newRig(t)
	r.answer = func(seen) ([]proto.Message, error) {
		return nil, status.Error(codes.NotFound, "Request for unknown model: 'm/x' is not found")
	}
	if got, want := said(r.ask("GET", "/v2/models/m/x", "")), `404 text/plain {"error":"Not Found"}`; got != want {
		t.Errorf("got %s", got)
	}
	if got, want := said(r.ask("GET", "/v2/models/m%2Fx", "")), `404 application/json {"error":"Request for unknown model: 'm/x' is not found"}`; got != want {
		t.Errorf("got %s", got)
	}
}

// TestNothingIsReadOfAStranger: identity decides on headers, and the body stays
// where it is.
func TestNothingIsReadOfAStranger(t *testing.T) {
	r := newRig(t)
	r.identity = func(metadata.MD) error {
		return &access.Error{Kind: access.Unauthenticated, Reason: access.ReasonTokenMissing, Message: "no token"}
	}
	for _, path := range []string{"/v2/models/m/infer", "/v2/models/m/generate", "/v2/models/m/generate_stream", "/v2/repository/models/m/load", "/v2/logging"} {
		b := &unread{}
		if w := r.do(r.request("POST", path, b)); w.Code != http.StatusUnauthorized || b.reads > 0 {
			t.Errorf("%s: %s after %d reads", path, said(w), b.reads)
		}
	}
}

// unread is a body that counts its readers.
type unread struct{ reads int }

func (u *unread) Read(p []byte) (int, error) { u.reads++; return len(p), nil }
