package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/rest/admin"
	"github.com/sluice-gateway/sluice/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// heard is what a handler was asked.
type heard struct {
	metadata metadata.MD
	door     string
	request  proto.Message
}

// unary reads a request as the chain does and answers.
func unary(m, answer proto.Message, to *heard) grpc.StreamHandler {
	return func(_ any, ss grpc.ServerStream) error {
		to.metadata, _ = metadata.FromIncomingContext(ss.Context())
		if d := access.DoorFrom(ss.Context()); d != nil {
			to.door = d.Name
		}
		var raw wire.Message
		defer raw.Free()
		account := wire.NewBudget(wire.BudgetConfig{All: 8 << 20, PerPrincipal: 8 << 20}).Account("x")
		defer account.Close()
		if err := wire.NewReceiver(ss).RecvOnly(&raw, account); err != nil {
			return interceptors.ToStatus(err)
		}
		to.request = proto.Clone(m)
		proto.Reset(to.request)
		if err := raw.Unmarshal(to.request); err != nil {
			return err
		}
		return ss.SendMsg(answer)
	}
}

func door(t testing.TB, handlers map[string]grpc.StreamHandler) *admin.Door {
	t.Helper()
	d, err := admin.New(handlers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Wait)
	return d
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestARequestIsWhatPathQueryAndBodySay(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, body string
		rpc                string
		want               proto.Message
	}{
		"a path and a body":                      {"POST", "/v1/approvals/abc:approve", `{"reason":"go","duration":"60s"}`, pb.ApprovalService_Approve_FullMethodName, &pb.ApproveRequest{}},
		"no body at all":                         {"POST", "/v1/approvals/abc:approve", ``, pb.ApprovalService_Approve_FullMethodName, &pb.ApproveRequest{}},
		"the id in both":                         {"POST", "/v1/approvals/abc:approve", `{"id":"abc"}`, pb.ApprovalService_Approve_FullMethodName, &pb.ApproveRequest{}},
		"a query":                                {"GET", "/v1/approvals?page_size=5&mine=true&states=APPROVAL_STATE_PENDING&states=APPROVAL_STATE_DENIED", "", pb.ApprovalService_ListApprovals_FullMethodName, &pb.ListApprovalsRequest{}},
		"a query by JSON's names":                {"GET", "/v1/approvals?pageSize=5&pageToken=x", "", pb.ApprovalService_ListApprovals_FullMethodName, &pb.ListApprovalsRequest{}},
		"a deletion's query":                     {"DELETE", "/v1/secrets/s?force=true", "", pb.SecretService_DeleteSecret_FullMethodName, &pb.DeleteSecretRequest{}},
		"what is in a path stays as it was sent": {"GET", "/v1/approvals/a%2Fb", "", pb.ApprovalService_GetApproval_FullMethodName, &pb.GetApprovalRequest{}},
	} {
		t.Run(name, func(t *testing.T) {
			var got heard
			d := door(t, map[string]grpc.StreamHandler{c.rpc: unary(c.want, &pb.GetLoginResponse{}, &got)})
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer x")
			r.Header.Set("Grpc-Metadata-Spoof", "y")
			if w := serve(d, r); w.Code != http.StatusOK {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			text, err := protojson.Marshal(got.request)
			if err != nil {
				t.Fatal(err)
			}
			said := strings.ReplaceAll(string(text), " ", "")
			if want := wants[name]; said != want {
				t.Errorf("the request is %s, want %s", said, want)
			}
			if len(got.metadata) != 1 || got.metadata.Get("authorization")[0] != "Bearer x" || got.door != admin.DoorName {
				t.Errorf("metadata %v, door %q", got.metadata, got.door)
			}
		})
	}
}

var wants = map[string]string{
	"a path and a body":                      `{"id":"abc","reason":"go","duration":"60s"}`,
	"no body at all":                         `{"id":"abc"}`,
	"the id in both":                         `{"id":"abc"}`,
	"a query":                                `{"pageSize":5,"states":["APPROVAL_STATE_PENDING","APPROVAL_STATE_DENIED"],"mine":true}`,
	"a query by JSON's names":                `{"pageSize":5,"pageToken":"x"}`,
	"a deletion's query":                     `{"id":"s","force":true}`,
	"what is in a path stays as it was sent": `{"id":"a%2Fb"}`,
}

func TestAnswersAreOneLineWithTheContractsNames(t *testing.T) {
	var got heard
	d := door(t, map[string]grpc.StreamHandler{pb.PolicyService_CanI_FullMethodName: unary(&pb.CanIRequest{}, &pb.CanIResponse{Message: "a  b"}, &got)})
	r := httptest.NewRequest(http.MethodPost, "/v1/policy:canI", strings.NewReader(`{}`))
	r.Header.Set("Content-Type", "application/json; charset=UTF-8")
	if w := serve(d, r); w.Body.String() != `{"allowed":false,"reason":"","message":"a  b"}`+"\n" {
		t.Errorf("answered %q", w.Body)
	}
}

// TestErrorsSayWhatTheyAre over each code that a service gives.
func TestErrorsSayWhatTheyAre(t *testing.T) {
	for _, c := range []struct {
		err  *access.Error
		code int
		name string
	}{
		{&access.Error{Kind: access.Unauthenticated, Reason: "TOKEN_EXPIRED"}, 401, "UNAUTHENTICATED"},
		{&access.Error{Kind: access.PermissionDenied, Reason: "NO_ROLE_ALLOWS"}, 403, "PERMISSION_DENIED"},
		{&access.Error{Kind: access.NotFound, Reason: "NOT_FOUND"}, 404, "NOT_FOUND"},
		{&access.Error{Kind: access.NeedsApproval, Reason: "CONFLICT"}, 409, "FAILED_PRECONDITION"},
		{&access.Error{Kind: access.Exhausted, Reason: "CALLS_IN_FLIGHT"}, 429, "RESOURCE_EXHAUSTED"},
		{&access.Error{Kind: access.Unavailable, Reason: "STORE_UNAVAILABLE"}, 503, "UNAVAILABLE"},
		{&access.Error{Kind: access.Internal, Reason: "INTERNAL"}, 500, "INTERNAL"},
	} {
		d := door(t, map[string]grpc.StreamHandler{pb.IdentityService_WhoAmI_FullMethodName: func(any, grpc.ServerStream) error { return interceptors.ToStatus(c.err) }})
		w := serve(d, httptest.NewRequest(http.MethodGet, "/v1/me", nil))
		var f struct {
			Error struct{ Status, Reason string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil || w.Code != c.code || f.Error.Status != c.name || f.Error.Reason != c.err.Reason || w.Header().Get("Sluice-Reason") != c.err.Reason {
			t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
		}
		if (w.Header().Get("Retry-After") != "") != (c.code == 429) || (w.Header().Get("WWW-Authenticate") != "") != (c.code == 401) {
			t.Errorf("%d has headers %v", c.code, w.Header())
		}
	}
}

// TestAStreamEndsAsItEnded: by nothing, by an error at once, and by one after answers.
func TestAStreamEndsAsItEnded(t *testing.T) {
	away := interceptors.ToStatus(&access.Error{Kind: access.Unavailable, Reason: "STORE_UNAVAILABLE", Message: "gone"})
	one := &pb.WatchApprovalsResponse{Existing: true}
	for name, c := range map[string]struct {
		handler grpc.StreamHandler
		code    int
		lines   []string
	}{
		"by nothing":          {func(any, grpc.ServerStream) error { return nil }, 200, nil},
		"by an error at once": {func(any, grpc.ServerStream) error { return away }, 503, []string{`"status":"UNAVAILABLE"`}},
		"by an error later": {func(_ any, ss grpc.ServerStream) error {
			if err := ss.SendMsg(one); err != nil {
				return err
			}
			return away
		}, 200, []string{`"existing":true`, `"reason":"STORE_UNAVAILABLE"`}},
		"by its end": {func(_ any, ss grpc.ServerStream) error { return ss.SendMsg(one) }, 200, []string{`"existing":true`}},
	} {
		d := door(t, map[string]grpc.StreamHandler{pb.ApprovalService_WatchApprovals_FullMethodName: c.handler})
		w := serve(d, httptest.NewRequest(http.MethodGet, "/v1/approvals:watch", nil))
		got := strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n")
		if w.Body.Len() == 0 {
			got = nil
		}
		if w.Code != c.code || len(got) != len(c.lines) {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
			continue
		}
		for i, line := range c.lines {
			if !strings.Contains(got[i], line) {
				t.Errorf("%s: line %d is %s", name, i, got[i])
			}
		}
	}
}

// TestTheDocumentSaysWhatIsServed: each path of it has a handler.
func TestTheDocumentSaysWhatIsServed(t *testing.T) {
	handlers := map[string]grpc.StreamHandler{}
	for _, service := range []grpc.ServiceDesc{pb.ApprovalService_ServiceDesc, pb.SecretService_ServiceDesc, pb.PolicyService_ServiceDesc} {
		for _, m := range service.Methods {
			handlers["/"+service.ServiceName+"/"+m.MethodName] = func(any, grpc.ServerStream) error { return io.EOF }
		}
		for _, m := range service.Streams {
			handlers["/"+service.ServiceName+"/"+m.StreamName] = func(any, grpc.ServerStream) error { return nil }
		}
	}
	d := door(t, handlers)
	w := serve(d, httptest.NewRequest(http.MethodGet, "/v1/openapi.json", nil))
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]struct{ OperationID string }
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatal(err, w.Body)
	}
	n := 0
	for path, operations := range doc.Paths {
		for verb := range operations {
			n++
			r := httptest.NewRequest(strings.ToUpper(verb), strings.ReplaceAll(path, "{id}", "x"), nil)
			if w := serve(d, r); w.Code == http.StatusNotFound || w.Code == http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", verb, path, w.Code)
			}
		}
	}
	if n != len(handlers) || doc.Components.Schemas["Approval"] == nil || doc.Components.Schemas["Error"] == nil {
		t.Errorf("%d of %d RPCs are there", n, len(handlers))
	}
	if strings.Contains(w.Body.String(), `"#/components/schemas/Timestamp"`) {
		t.Error("a time is described as an object")
	}
}

func TestHealthIsForEverybodyToRead(t *testing.T) {
	d := door(t, nil)
	if w := serve(d, httptest.NewRequest(http.MethodGet, "/healthz", nil)); w.Code != 200 || w.Body.String() != "ok\n" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if w := serve(d, httptest.NewRequest(http.MethodPost, "/healthz", nil)); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// FuzzRequests: whatever a query or a body holds, the answer is one that a client can
// read, and nothing of a secret is in it.
func FuzzRequests(f *testing.F) {
	f.Add("page_size=1&mine=true", `{"value":"aHVudGVyMg=="}`)
	f.Add("states=APPROVAL_STATE_PENDING", `{"value":"hunter2`)
	f.Add("%zz", `{"kind":{"hunter2":[[[[]]]]}}`)
	var got heard
	d, err := admin.New(map[string]grpc.StreamHandler{
		pb.ApprovalService_ListApprovals_FullMethodName: unary(&pb.ListApprovalsRequest{}, &pb.ListApprovalsResponse{}, &got),
		pb.SecretService_PutSecret_FullMethodName:       unary(&pb.PutSecretRequest{}, &pb.PutSecretResponse{}, &got),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, query, body string) {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/v1/approvals", nil)
		r.URL.RawQuery = query
		put := httptest.NewRequestWithContext(context.Background(), http.MethodPut, "/v1/secrets/s", strings.NewReader(body))
		put.Header.Set("Content-Type", "application/json")
		for _, r := range []*http.Request{r, put} {
			w := serve(d, r)
			if w.Code != 200 && w.Code != 400 || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if r == put && strings.Contains(body, "hunter2") && strings.Contains(w.Body.String(), "hunter2") && !strings.Contains(w.Body.String(), `unknown field`) {
				t.Errorf("a value is in %s", w.Body)
			}
		}
	})
}
