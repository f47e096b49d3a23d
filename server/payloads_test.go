package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/export"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/audit/payload"
	auditlog "github.com/sluice-gateway/sluice/audit/sqlite"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/secret"
)

const masksForMost = rolesOfTheDemo + `
masking:
  - { name: pii, models: ["*"], tensors: ["*"], entities: [EMAIL, CARD, SSN], action: redact, except: [pii-readers] }
`

const (
	seedEmail = "jane.doe@example.com"
	seedCard  = "4111 1111 1111 1111"
	seedSSN   = "536-90-4399"
)

// startRecording is a gateway that keeps payloads, in a folder of its own.
func startRecording(t *testing.T, payloads string) (g *gateway, kept string) {
	t.Helper()
	kept = t.TempDir()
	key := filepath.Join(t.TempDir(), "secrets.key")
	if err := os.WriteFile(key, []byte(secret.NewKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, setup{policy: masksForMost, extra: `
store: { sqlite: "` + filepath.Join(kept, "sluice.db") + `" }
secrets: { key: "file:` + key + `" }
audit: { payloads: ` + payloads + `, batch: 5ms, look_up_key: "file:` + key + `" }
`}), kept
}

// say has a caller say all seeded values in each way there is, and be answered with
// them.
func (g *gateway) say(t *testing.T, name string) {
	t.Helper()
	text := "I am " + seedEmail + ", card " + seedCard + ", number " + seedSSN + "."
	_, err := g.ModelInfer(g.as(name), &inference.ModelInferRequest{
		ModelName: "simple_identity", Id: "1",
		Parameters:       map[string]*inference.InferParameter{"note": {ParameterChoice: &inference.InferParameter_StringParam{StringParam: text}}},
		Inputs:           []*inference.ModelInferRequest_InferInputTensor{{Name: "INPUT0", Datatype: "BYTES", Shape: []int64{1, 1}}},
		RawInputContents: [][]byte{soakBytes([]byte(text))},
	})
	if err != nil {
		t.Fatal(err)
	}
	// A model's name in an error, an input that the model has not.
	_, _ = g.ModelInfer(g.as(name), &inference.ModelInferRequest{ModelName: "simple_identity", Inputs: []*inference.ModelInferRequest_InferInputTensor{
		{Name: seedEmail, Datatype: "BYTES", Shape: []int64{1, 1}, Contents: &inference.InferTensorContents{BytesContents: [][]byte{[]byte(seedCard)}}},
	}})
	// A datatype that is none, a version, the name of a model that there is not.
	for _, r := range []*inference.ModelInferRequest{
		{ModelName: "simple_identity", ModelVersion: seedSSN},
		{ModelName: "x " + seedEmail},
		{ModelName: "simple_identity", Outputs: []*inference.ModelInferRequest_InferRequestedOutputTensor{{Name: seedSSN}}},
		{ModelName: "simple_identity", Inputs: []*inference.ModelInferRequest_InferInputTensor{{Name: "INPUT0", Datatype: seedCard, Shape: []int64{1, 1}}}},
	} {
		_, _ = g.ModelInfer(g.as(name), r)
	}
	// What the door refuses, and what it hands on.
	for _, path := range []string{"/v2/models/" + seedEmail + "/infer", "/v2/models/x/versions/" + seedSSN + "/infer", "/" + seedEmail, "/v2/models/" + seedEmail} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			g.web(name, method, path, `{"id": "`+seedCard+`"}`, "X-Request-Id", seedSSN, "Grpc-Timeout", "soon")
			g.web(name, method, path, `{"id": "`+seedCard+`", "inputs": [{"name": "`+seedSSN+`"}]}`, "X-Request-Id", seedSSN)
		}
	}
	stream, err := g.ModelStreamInfer(g.as(name))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"2", "3", ""} {
		r := &inference.ModelInferRequest{ModelName: "tokens", Id: id, Inputs: []*inference.ModelInferRequest_InferInputTensor{
			{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}},
			{Name: "stream", Datatype: "BOOL", Shape: []int64{1}},
		}, RawInputContents: [][]byte{soakBytes([]byte(text)), {1}}}
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	answered := ""
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range m.GetInferResponse().GetRawOutputContents() {
			if len(raw) > 4 {
				answered += string(raw[4:])
			}
		}
	}
	if clear := strings.Contains(answered, seedEmail) || strings.Contains(answered, "4111"); clear != (name == "dana") {
		t.Errorf("%s was answered %.200q", name, answered)
	}
}

// TestNoSeededValueIsInAnyFile: after a run with payloads kept masked, no value is
// in any file that the gateway or an export has written, whoever called.
func TestNoSeededValueIsInAnyFile(t *testing.T) {
	g, kept := startRecording(t, "masked")
	for _, name := range []string{"bob", "dana"} {
		g.say(t, name)
	}
	wantNoSeeds(t, kept) // while it runs: the write-ahead log too
	g.end()
	if err := <-g.ended; err != nil {
		t.Fatal(err)
	}
	key, err := merkle.OpenKey(filepath.Join(kept, "sluice.audit.key"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := auditlog.Open(t.Context(), filepath.Join(kept, "sluice.audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	for _, f := range export.Formats {
		dir := export.Folder(filepath.Join(kept, string(f)))
		m, _, err := export.Run(t.Context(), export.Options{Source: log, Tree: log, Target: dir, Format: f})
		if err != nil || m.Records == 0 {
			t.Fatalf("%d records, %v", m.Records, err)
		}
		if report, err := export.Verify(t.Context(), dir, key.Public()); err != nil || !report.OK() {
			t.Errorf("%+v, %v", report, err)
		}
	}
	wantNoSeeds(t, kept)
	wantKept(t, g, log)
}

// TestLookUpWithoutPayloads: where nothing that was said is kept, it is known all
// the same in whose calls a value was masked.
func TestLookUpWithoutPayloads(t *testing.T) {
	g, kept := startRecording(t, "none")
	g.say(t, "bob")
	g.end()
	if err := <-g.ended; err != nil {
		t.Fatal(err)
	}
	wantNoSeeds(t, kept)
	log, err := auditlog.Open(t.Context(), filepath.Join(kept, "sluice.audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	r := g.payloads(t, log)
	words, _ := r.LookUp("4111 1111-11111111")
	var kinds []string
	for found, err := range log.Search(t.Context(), audit.Query{Words: words, Oldest: true}) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, found.Record.RPC)
		if _, err := r.Open(t.Context(), found.Record.Payload); !errors.Is(err, audit.ErrNotFound) {
			t.Errorf("something is kept: %v", err)
		}
	}
	if want := []string{"ModelInfer", "ModelStreamInfer"}; !slices.Equal(kinds, want) {
		t.Errorf("found in %v, want %v", kinds, want)
	}
}

// wantNoSeeds reads all files below a folder.
func wantNoSeeds(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, seed := range []string{seedEmail, seedCard, seedSSN, "jane.doe", "4111 1111", "536-90"} {
			if bytes.Contains(b, []byte(seed)) {
				t.Errorf("%s holds %q", path, seed)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantKept opens what was kept: of both callers there are the request and the
// answers, masked, and their values can be looked up.
func wantKept(t *testing.T, g *gateway, log *auditlog.Log) {
	t.Helper()
	r := g.payloads(t, log)
	texts := map[string]string{}
	for found, err := range log.Search(context.Background(), audit.Query{Model: "tokens", Oldest: true}) {
		if err != nil {
			t.Fatal(err)
		}
		content, err := r.Open(t.Context(), found.Record.Payload)
		if err != nil {
			t.Errorf("%+v: %v", found.Record, err)
			continue
		}
		if !content.Complete || len(content.Frames) < 40 || content.Frames[0].Kind != payload.Request {
			t.Errorf("%s's request %q: %d frames, complete: %v", found.Record.Name, found.Record.Request, len(content.Frames), content.Complete)
		}
		for _, f := range content.Frames {
			m := new(inference.ModelStreamInferResponse)
			if f.Kind == payload.Stream && proto.Unmarshal(f.Message, m) == nil && len(m.GetInferResponse().GetRawOutputContents()) > 0 {
				texts[found.Record.Name] += string(m.InferResponse.RawOutputContents[0][4:])
			}
		}
	}
	if len(texts) != 2 {
		t.Errorf("texts of %d callers, want 2", len(texts))
	}
	for name, text := range texts {
		if strings.Count(text, "[EMAIL]") != 3 || strings.Count(text, "[CARD]") != 3 {
			t.Errorf("%s: %q", name, text)
		}
	}
	words, _ := r.LookUp("4111-1111-1111-1111")
	n := 0
	for range log.Search(t.Context(), audit.Query{Words: words}) {
		n++
	}
	if n < 4 {
		t.Errorf("the card is found in %d records", n)
	}
}

// payloads opens what the gateway has kept in a log.
func (g *gateway) payloads(t *testing.T, log *auditlog.Log) *payload.Reader {
	t.Helper()
	key := new(access.Secret)
	ref := g.read("sluice.yaml")
	_, ref, _ = strings.Cut(ref, `key: "`)
	ref, _, _ = strings.Cut(ref, `"`)
	if err := key.UnmarshalText([]byte(ref)); err != nil {
		t.Fatal(err)
	}
	text, err := key.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secret.LoadKeys(t.Context(), secret.Config{Key: *key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := payload.NewReader(log, sealer{ring}, payload.NewMarker([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// sealer is secret's keyring, as payloads ask for one.
type sealer struct{ ring *secret.Keyring }

func (s sealer) Seal(aad, plain []byte) ([]byte, error) { return s.ring.Seal(plain, string(aad)) }

func (s sealer) Open(aad, sealed []byte) ([]byte, error) {
	b, err := s.ring.Open(sealed, string(aad))
	return []byte(b.Text()), err
}
