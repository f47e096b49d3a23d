package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// rolesOfAdmins give each of the demo's people a part in the admin API.
const rolesOfAdmins = `
roles:
  admin: [ { models: ["*"], verbs: ["*", admin, break_glass, reveal] } ]
  auditor: [ { models: ["*"], verbs: [audit_read] } ]
  approver: [ { models: ["*"], verbs: [approve] } ]
  user: [ { models: ["*"], verbs: [infer, describe, list] } ]
  caller: [ { models: [simple], verbs: [infer] } ]
bindings:
  - { role: admin, groups: [model-admin] }
  - { role: auditor, groups: [pii-readers] }
  - { role: approver, groups: [approvers] }
  - { role: user, groups: [model-viewer] }
  - { role: caller, subjects: ["ISSUER#ci"] }
access:
  - { models: ["*"], verbs: [load, unload], for: [model-viewer], by: [approvers], max: 4h }
guards:
  - { name: unload-prod, verbs: [unload], models: ["prod-*"], approve: { by: [approvers] } }
`

// desk is a gateway with a store, and a client of its console.
type desk struct {
	*gateway
	admin *grpc.ClientConn
	n     int // of wishes
}

func openDesk(t *testing.T, more ...func(*setup)) *desk {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("SLUICE_TEST_SEAL", base64.StdEncoding.EncodeToString(make([]byte, 32)))
	s := setup{policy: rolesOfAdmins, extra: fmt.Sprintf("store: { sqlite: %q }\nsecrets: { key: \"${SLUICE_TEST_SEAL}\" }\napprovals: { pending_per_principal: 1000 }\n", dir+"/sluice.db")}
	for _, f := range more {
		f(&s)
	}
	d := &desk{gateway: start(t, s)}
	d.admin = d.dialConsole()
	return d
}

func (g *gateway) dialConsole() *grpc.ClientConn {
	g.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+g.Console, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// answered is what a call came to at a door.
type answered struct {
	code    codes.Code
	reason  string
	message string
	answer  proto.Message // nil with an error
}

func (a answered) String() string {
	return fmt.Sprintf("%v %s %s %v", a.code, a.reason, a.message, a.answer)
}

// verdict is what docs/VERDICTS.md says.
func (a answered) verdict() string {
	if a.code == codes.OK {
		return "yes"
	}
	if a.reason == "" {
		return "no: " + a.code.String()
	}
	return "no: " + a.reason
}

// overGRPC makes a call, of a stream its first answer or that it was taken.
func (d *desk) overGRPC(as string, method protoreflect.MethodDescriptor, m proto.Message) answered {
	d.t.Helper()
	answer := dynamicpb.NewMessage(method.Output())
	full := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
	var err error
	if !method.IsStreamingServer() {
		err = d.admin.Invoke(d.as(as), full, m, answer)
	} else {
		err = d.taken(as, full, m)
	}
	if err != nil {
		st := status.Convert(err)
		return answered{code: st.Code(), reason: reasonOf(err), message: st.Message()}
	}
	return answered{answer: answer}
}

// taken opens a stream until its header has come.
func (d *desk) taken(as, full string, m proto.Message) error {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.as(as))
	defer cancel()
	stream, err := d.admin.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, full)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(m); err != nil && err != io.EOF {
		return err
	}
	_ = stream.CloseSend()
	if header, err := stream.Header(); err == nil && len(header.Get("sluice-watch")) > 0 {
		return nil
	}
	return stream.RecvMsg(new(pb.WatchApprovalsResponse))
}

// overREST is the request that an RPC's annotation says.
func (d *desk) overREST(as string, method protoreflect.MethodDescriptor, m proto.Message) answered {
	d.t.Helper()
	verb, path, body := restOf(d.t, method, m)
	code, text, header := d.ask(as, verb, path, body)
	if code != http.StatusOK {
		var f struct {
			Error struct{ Status, Reason, Message string }
		}
		if err := json.Unmarshal([]byte(text), &f); err != nil || f.Error.Status == "" || header.Get("Sluice-Reason") != f.Error.Reason {
			d.t.Errorf("%s %s: %d %q, %v: not an error as REST has them", verb, path, code, text, err)
		}
		return answered{code: codeOf(f.Error.Status), reason: f.Error.Reason, message: f.Error.Message}
	}
	answer := dynamicpb.NewMessage(method.Output())
	if !method.IsStreamingServer() {
		if err := protojson.Unmarshal([]byte(text), answer); err != nil {
			d.t.Errorf("%s %s: %v in %s", verb, path, err, text)
		}
	}
	return answered{answer: answer}
}

func codeOf(name string) (c codes.Code) {
	_ = c.UnmarshalJSON([]byte(`"` + name + `"`))
	return c
}

// restOf makes the request that a method's annotation says.
func restOf(t *testing.T, method protoreflect.MethodDescriptor, m proto.Message) (verb, path, body string) {
	t.Helper()
	rule, ok := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		t.Fatalf("%s has no path in REST", method.FullName())
	}
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		verb, path = http.MethodGet, p.Get
	case *annotations.HttpRule_Post:
		verb, path = http.MethodPost, p.Post
	case *annotations.HttpRule_Put:
		verb, path = http.MethodPut, p.Put
	case *annotations.HttpRule_Delete:
		verb, path = http.MethodDelete, p.Delete
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	if id, ok := fields["id"].(string); ok && strings.Contains(path, "{id") {
		id = url.PathEscape(id)
		if strings.Contains(path, "{id=*/**}") {
			id = strings.ReplaceAll(id, "%2F", "/")
		}
		path = path[:strings.Index(path, "{id")] + id + path[strings.Index(path, "}")+1:]
		delete(fields, "id")
	}
	if rule.GetBody() != "" {
		text, _ = json.Marshal(fields)
		return verb, path, string(text)
	}
	query := url.Values{}
	for name, value := range fields {
		if list, ok := value.([]any); ok {
			for _, v := range list {
				query.Add(name, fmt.Sprint(v))
			}
			continue
		}
		query.Set(name, fmt.Sprint(value))
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return verb, path, ""
}

// ask sends a request to the console's REST and reads the answer; of a stream only
// that it began.
func (d *desk) ask(as, method, path, body string, headers ...string) (int, string, http.Header) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+d.Console+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if as != "" {
		r.Header.Set("Authorization", "Bearer "+d.Token(as))
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var text bytes.Buffer
	if resp.Header.Get("Content-Type") != "application/x-ndjson" {
		if _, err := io.Copy(&text, resp.Body); err != nil {
			d.t.Fatal(err)
		}
	}
	return resp.StatusCode, text.String(), resp.Header
}

// wish has bob ask for access to a model of its own and returns the request's id.
func (d *desk) wish() string {
	d.t.Helper()
	d.n++
	out, err := pb.NewAccessServiceClient(d.admin).RequestAccess(d.as("bob"), &pb.RequestAccessRequest{Verb: "load", Model: fmt.Sprint("wish-", d.n), Reason: "test"})
	if err != nil {
		d.t.Fatal(err)
	}
	return out.GetApproval().GetId()
}

// grant is a grant of bob's.
func (d *desk) grant() string {
	d.t.Helper()
	out, err := pb.NewApprovalServiceClient(d.admin).Approve(d.as("carol"), &pb.ApproveRequest{Id: d.wish()})
	if err != nil {
		d.t.Fatal(err)
	}
	return out.GetGrant().GetId()
}

// secret stores a secret and returns its name.
func (d *desk) secret() string {
	d.t.Helper()
	d.n++
	name := fmt.Sprint("secret-", d.n)
	if _, err := pb.NewSecretServiceClient(d.admin).PutSecret(d.as("alice"), &pb.PutSecretRequest{Id: name, Value: []byte("value")}); err != nil {
		d.t.Fatal(err)
	}
	return name
}

// recordedOf is what the log says, from a place on, of one call of an RPC at the
// console. Models differ where each call has its own.
func (d *desk) recordedOf(t *testing.T, from int, rpc string) (said string) {
	t.Helper()
	mark := fmt.Sprintf(`"rpc":%q`, rpc)
	eventually(t, "the call's line", func() bool { return strings.Contains(d.Log.String()[from:], mark) })
	for line := range strings.Lines(d.Log.String()[from:]) {
		var l struct{ Msg, RPC, Door, Name, Verb, Model, Verdict, Rule, Reason, Code string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Msg != "call" || l.RPC != rpc {
			continue
		}
		if l.Door != "admin" {
			t.Errorf("the call came through %q", l.Door)
		}
		if streams := []string{"WatchApprovals", "TailRecords", "ReadRecords", "ReadLeaves"}; slices.Contains(streams, rpc) {
			l.Verdict, l.Code = "", "" // who leaves cancels
		}
		said += fmt.Sprint(l.RPC, " ", l.Name, " ", l.Verb, " ", strings.TrimRight(l.Model, "0123456789"), " ", l.Verdict, " ", l.Rule, " ", l.Reason, " ", l.Code, ";")
	}
	return said
}
