package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-gateway/sluice/gen/inference"
)

// webRequest is a request over REST.
type webRequest struct {
	method, path, body string
	headers            []string
}

// overREST says over REST what an RPC's request says; false where REST has no
// such route.
func overREST(rpc string, m proto.Message) (webRequest, bool) {
	get := func(path string) (webRequest, bool) {
		return webRequest{method: http.MethodGet, path: "/v2" + path}, true
	}
	post := func(path string, body any) (webRequest, bool) {
		text, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		return webRequest{method: http.MethodPost, path: "/v2" + path, body: string(text)}, true
	}
	type object = map[string]any
	switch m := m.(type) {
	case *inference.ServerLiveRequest:
		return get("/health/live")
	case *inference.ServerReadyRequest:
		return get("/health/ready")
	case *inference.ServerMetadataRequest:
		return get("")
	case *inference.ModelReadyRequest:
		return get("/models/" + m.GetName() + "/ready")
	case *inference.ModelMetadataRequest:
		return get("/models/" + m.GetName())
	case *inference.ModelConfigRequest:
		return get("/models/" + m.GetName() + "/config")
	case *inference.ModelStatisticsRequest:
		return get(strings.ReplaceAll("/models/"+m.GetName()+"/stats", "//", "/"))
	case *inference.ModelInferRequest:
		return inferOverREST(rpc, m), true
	case *inference.RepositoryIndexRequest:
		return post("/repository/index", object{})
	case *inference.RepositoryModelLoadRequest:
		parameters := object{}
		for key, p := range m.GetParameters() {
			parameters[key] = p.GetStringParam()
		}
		return post("/repository/models/"+m.GetModelName()+"/load", object{"parameters": parameters})
	case *inference.RepositoryModelUnloadRequest:
		return post("/repository/models/"+m.GetModelName()+"/unload", object{})
	case *inference.TraceSettingRequest:
		path := strings.ReplaceAll("/models/"+m.GetModelName()+"/trace/setting", "/models//", "/")
		if len(m.GetSettings()) == 0 {
			return get(path)
		}
		settings := object{}
		for key, s := range m.GetSettings() {
			settings[key] = s.GetValue()[0]
		}
		return post(path, settings)
	case *inference.LogSettingsRequest:
		if len(m.GetSettings()) == 0 {
			return get("/logging")
		}
		settings := object{}
		for key, s := range m.GetSettings() {
			settings[key] = s.GetBoolParam()
		}
		return post("/logging", settings)
	case *inference.SystemSharedMemoryRegisterRequest:
		return post("/systemsharedmemory/region/"+m.GetName()+"/register", object{"key": m.GetKey(), "byte_size": m.GetByteSize()})
	case *inference.CudaSharedMemoryRegisterRequest:
		handle := base64.StdEncoding.EncodeToString(make([]byte, 64))
		return post("/cudasharedmemory/region/"+m.GetName()+"/register", object{"raw_handle": object{"b64": handle}, "device_id": 0, "byte_size": m.GetByteSize()})
	case *inference.SystemSharedMemoryStatusRequest, *inference.CudaSharedMemoryStatusRequest:
		return get("/" + sharedMemory(rpc) + "/status")
	case interface{ GetName() string }:
		if strings.HasSuffix(rpc, "Unregister") {
			region := strings.ReplaceAll("/"+sharedMemory(rpc)+"/region/"+m.GetName()+"/unregister", "/region//", "/")
			return post(region, object{})
		}
	}
	return webRequest{}, false
}

func sharedMemory(rpc string) string {
	if strings.HasPrefix(rpc, "Cuda") {
		return "cudasharedmemory"
	}
	return "systemsharedmemory"
}

// inferOverREST sends the tensors in binary, or as what …/generate_stream takes.
func inferOverREST(rpc string, m *inference.ModelInferRequest) webRequest {
	path := "/v2/models/" + m.GetModelName()
	var inputs, members []string
	for _, input := range m.GetInputs() {
		shape, err := json.Marshal(input.GetShape())
		if err != nil {
			panic(err)
		}
		inputs = append(inputs, fmt.Sprintf(`{"name":%q,"datatype":%q,"shape":%s,"parameters":{"binary_data_size":64}}`, input.GetName(), input.GetDatatype(), shape))
		members = append(members, fmt.Sprintf(`%q:[0%s]`, input.GetName(), strings.Repeat(",0", 15)))
	}
	if rpc == "ModelStreamInfer" {
		return webRequest{method: http.MethodPost, path: path + "/generate_stream", body: "{" + strings.Join(members, ",") + "}"}
	}
	head := `{"inputs":[` + strings.Join(inputs, ",") + `]}`
	body := head
	for _, raw := range m.GetRawInputContents() {
		body += string(raw)
	}
	return webRequest{http.MethodPost, path + "/infer", body, []string{"Inference-Header-Content-Length", fmt.Sprint(len(head))}}
}

// webVerdict is "yes" where the backend was asked, else Sluice's refusal.
func (g *gateway) webVerdict(as string, r webRequest) string {
	g.t.Helper()
	_, _, header := g.web(as, r.method, r.path, r.body, r.headers...)
	if reason := header.Get("Sluice-Reason"); reason != "" {
		return "no: " + reason
	}
	return "yes"
}

// TestBothDoorsDecideAndRecordAlike: each sample of a verdict over gRPC and over
// REST, as each role, is decided alike and has the same line in the log.
func TestBothDoorsDecideAndRecordAlike(t *testing.T) {
	g := start(t, setup{})
	for _, method := range methods() {
		rpc := string(method.Name())
		for _, s := range samples[rpc] {
			web, ok := overREST(rpc, s.request)
			if !ok {
				continue
			}
			for _, r := range roles {
				t.Run(rpc+" "+s.about+" "+r.role, func(t *testing.T) { g.alike(t, r.name, method, s.request, web) })
			}
		}
	}
}

func (g *gateway) alike(t *testing.T, as string, method protoreflect.MethodDescriptor, m proto.Message, web webRequest) {
	t.Helper()
	from := len(g.Log.String())
	overGRPC := verdict(g.call(as, method, m))
	said := g.recorded(t, from, "grpc")
	from = len(g.Log.String())
	overHTTP := g.webVerdict(as, web)
	saidHTTP := g.recorded(t, from, "rest")
	if overGRPC == "no: in the stream" {
		overGRPC = "no: NO_ROLE_ALLOWS"
	}
	if overGRPC != overHTTP || said != saidHTTP {
		t.Errorf("gRPC: %s, %s\nREST: %s, %s", overGRPC, said, overHTTP, saidHTTP)
	}
}

// recorded is what the log says, from a place on, of the one call that came in
// through a door, and of the message on its stream.
func (g *gateway) recorded(t *testing.T, from int, door string) (said string) {
	t.Helper()
	eventually(t, "the call's line", func() bool { return strings.Contains(g.Log.String()[from:], `"msg":"call"`) })
	for line := range strings.Lines(g.Log.String()[from:]) {
		var l struct{ Msg, RPC, Door, Name, Verb, Model, Verdict, Rule, Reason, Code string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		switch l.Msg {
		case "call":
			if l.Door != door {
				t.Errorf("the call came through %q", l.Door)
			}
			if l.RPC == "ModelStreamInfer" {
				l.Verdict, l.Code = "", "" // a client that leaves when it has its answer cancels the stream
			}
			said += fmt.Sprint(l.RPC, l.Name, l.Verb, l.Model, l.Verdict, l.Rule, l.Reason, l.Code, ";")
		case "message":
			said += fmt.Sprint(l.Name, l.Verb, l.Model, l.Verdict, l.Rule, l.Reason, ";")
		}
	}
	return said
}
