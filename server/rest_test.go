package server_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// web asks the REST door as somebody, and returns the status and the body.
func (g *gateway) web(as, method, path, body string, headers ...string) (int, string, http.Header) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+g.REST+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	if as != "" {
		r.Header.Set("Authorization", "Bearer "+g.Token(as))
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp.StatusCode, string(all), resp.Header
}

const addJSON = `{"id":"1","inputs":[
	{"name":"INPUT0","shape":[1,16],"datatype":"INT32","data":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]},
	{"name":"INPUT1","shape":[1,16],"datatype":"INT32","data":[[1,1,1,1],[1,1,1,1],[1,1,1,1],[1,1,1,1]]}],
	"outputs":[{"name":"OUTPUT0"}]}`

func TestTheRESTDoorIsUnderTheSameRules(t *testing.T) {
	g := start(t, setup{})
	for _, c := range []struct {
		name, as, method, path, body string
		status                       int
		want                         string
	}{
		{"alive", "", "GET", "/v2/health/live", "", 200, ""},
		{"ready", "", "GET", "/v2/health/ready", "", 200, ""},
		{"metadata", "", "GET", "/v2", "", 200, `{"name":"triton",`},
		{"a stranger", "", "POST", "/v2/models/simple/infer", addJSON, 401, `{"error":"`},
		{"bob infers", "bob", "POST", "/v2/models/simple/infer", addJSON, 200, `{"id":"1","model_name":"simple","model_version":"1","outputs":[{"name":"OUTPUT0","datatype":"INT32","shape":[1,16],"data":[2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}]}`},
		{"bob's model", "bob", "GET", "/v2/models/simple", "", 200, `{"name":"simple","versions":["1"],"platform":`},
		{"bob loads", "bob", "POST", "/v2/repository/models/simple/load", "", 403, `{"error":"`},
		{"alice loads", "alice", "POST", "/v2/repository/models/simple/load", "", 200, ""},
		{"carol", "carol", "POST", "/v2/models/simple/infer", addJSON, 403, `{"error":"`},
		{"ci elsewhere", "ci", "GET", "/v2/models/simple", "", 403, `{"error":"`},
		{"the index", "bob", "POST", "/v2/repository/index", "", 200, `[{"name":"`},
		{"tokens", "bob", "POST", "/v2/models/tokens/generate_stream", `{"text_input":"hi","stream":true,"sampling_parameters":"{\"max_tokens\":2}"}`, 200, `data: {"model_name":"tokens","model_version":"1","text_output":`},
		{"tokens at once", "bob", "POST", "/v2/models/tokens/generate", `{"text_input":"hi","sampling_parameters":"{\"max_tokens\":2}"}`, 200, `{"model_name":"tokens","model_version":"1","text_output":`},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body, header := g.web(c.as, c.method, c.path, c.body)
			if status != c.status || !strings.HasPrefix(body, c.want) || c.want == "" && body != "" {
				t.Errorf("got %d %s\n%v", status, body, header)
			}
		})
	}
}
