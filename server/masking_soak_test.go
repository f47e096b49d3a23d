package server_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/bench/masking/corpus"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking/detect"
)

// soakBlock is how many streams one gateway carries: its log and the double's
// memory of calls stay small.
const soakBlock = 5000

// TestMaskedStreamsSoak sends seeded texts through the whole gateway, over gRPC
// on both sides, in streams cut anywhere and as a whole, and wants the same
// masked text of both with no piece of a seeded value left. SOAK_STREAMS says
// how many streams, SOAK_SEED from which seed on.
func TestMaskedStreamsSoak(t *testing.T) {
	streams, seed := fromEnv(t, "SOAK_STREAMS", soakStreams), fromEnv(t, "SOAK_SEED", 1)
	var sum soakSum
	for first := 0; first < streams && !t.Failed(); first += soakBlock {
		t.Run(fmt.Sprintf("from %d", first), func(t *testing.T) {
			soakFrom(t, &sum, uint64(seed), first, min(streams, first+soakBlock))
		})
	}
	t.Log(&sum)
	if !t.Failed() && sum.values.Load() == 0 {
		t.Error("no value was seeded: nothing was tested")
	}
}

// fromEnv is a number of the environment.
func fromEnv(t *testing.T, key string, otherwise int) int {
	t.Helper()
	text := os.Getenv(key)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return n
}

// soakSum is what was tried, and what was found.
type soakSum struct {
	streams, requests, answers, texts, bytes, values, pieces, leaked atomic.Int64
}

func (s *soakSum) String() string {
	return fmt.Sprintf("soak: %d streams of %d requests and %d answers, with %d texts of %d bytes: "+
		"%d seeded values, %d pieces of 6 bytes looked for, %d values left; leak rate %g",
		s.streams.Load(), s.requests.Load(), s.answers.Load(), s.texts.Load(), s.bytes.Load(),
		s.values.Load(), s.pieces.Load(), s.leaked.Load(), float64(s.leaked.Load())/float64(max(1, s.values.Load())))
}

// soakFrom runs the streams of one gateway, some at a time.
func soakFrom(t *testing.T, sum *soakSum, seed uint64, from, to int) {
	double := new(soakDouble)
	g := start(t, setup{backend: double.listen(t), policy: rolesOfTheDemo + soakPolicy()})
	token := g.Token("bob")
	var next atomic.Int64
	next.Store(int64(from))
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for !t.Failed() {
				i := int(next.Add(1)) - 1
				if i >= to {
					return
				}
				s := newSoakStream(rand.New(rand.NewPCG(seed, uint64(i))), i, seed)
				s.run(t, g, double, token, sum)
			}
		})
	}
	running.Wait()
}

// The variants of a model: its name says them, mode.format.action, and the
// double and the policy follow it.
var (
	soakModes   = []string{"delta", "cumulative", "vllm"}
	soakFormats = []string{"text", "json"}
	soakActions = map[string]string{"redact": "redact", "partial": "partial", "drop": "drop", "replace": `{ replace: "…" }`}
	soakWords   = []string{"redact", "redact", "redact", "partial", "drop", "replace"}
)

// soakPolicy masks the outputs of all variants.
func soakPolicy() string {
	var b strings.Builder
	b.WriteString("masking:\n")
	for _, mode := range append(soakModes, "whole") {
		for _, format := range soakFormats {
			for word, action := range soakActions {
				fmt.Fprintf(&b, "  - { name: %s-%s-%s, models: [%[1]s.%[2]s.%[3]s], tensors: [text_output], entities: [%[4]s], format: %[2]s, action: %[5]s",
					mode, format, word, strings.Join(allEntities(), ", "), action)
				if mode == "delta" || mode == "cumulative" {
					b.WriteString(", mode: " + mode)
				}
				b.WriteString(" }\n")
			}
		}
	}
	return b.String()
}

// allEntities are all that there are detectors of.
func allEntities() []string {
	var names []string
	for _, info := range detect.Entities() {
		names = append(names, info.Entity)
	}
	return names
}

// run sends the stream and what is compared with it.
func (s *soakStream) run(t *testing.T, g *gateway, double *soakDouble, token string, sum *soakSum) {
	ctx, cancel := soakContext(token)
	defer cancel()
	double.scripts.Store(s.key, s)
	defer double.scripts.Delete(s.key)
	var requests [][]byte
	for _, r := range s.requests {
		b, err := proto.Marshal(r.request(s.key))
		if err != nil {
			t.Error(err)
			return
		}
		requests = append(requests, b)
	}
	answers, err := g.sendStream(ctx, requests...)
	if err != nil {
		t.Errorf("%s: %v", s, err)
		return
	}
	for k, r := range s.requests {
		whole, err := g.ModelInfer(ctx, &inference.ModelInferRequest{ModelName: r.wholeModel(), Id: s.key + "/" + strconv.Itoa(k)})
		if err != nil {
			t.Errorf("%s: whole: %v", s, err)
			return
		}
		want, err := soakTexts(whole)
		if err != nil {
			t.Errorf("%s: whole: %v", s, err)
			return
		}
		if problem := r.check(answers, want, sum); problem != nil {
			t.Errorf("%s: request %d, model %s: %v", s, k, r.model, problem)
		}
	}
	sum.streams.Add(1)
	sum.requests.Add(int64(len(s.requests)))
	sum.answers.Add(int64(len(answers)))
}

// TestSoakSeesWhatIsLeft: a soak that finds nothing has to be able to.
func TestSoakSeesWhatIsLeft(t *testing.T) {
	const text = "mail jane.doe@example.org or root@example.org, ssn 536904399"
	d := corpus.Doc{Text: text, Truth: []corpus.Span{
		{Start: 5, End: 25, Kind: "EMAIL"}, {Start: 29, End: 45, Kind: "EMAIL"}, {Start: 51, End: 60, Kind: "SSN"},
	}}
	if got := text[5:25] + " " + text[29:45] + " " + text[51:60]; got != "jane.doe@example.org root@example.org 536904399" {
		t.Fatalf("the spans are of %q", got)
	}
	for _, c := range []struct {
		name, masked  string
		partial, left bool
	}{
		{"nothing", "mail [EMAIL] or [EMAIL], ssn [SSN]", false, false},
		{"a value", "mail jane.doe@example.org or [EMAIL]", false, true},
		{"its beginning", "mail jane.d[EMAIL] or [EMAIL]", false, true},
		{"its end", "mail [EMAIL]le.org or [EMAIL]", false, true},
		{"five bytes of it", "mail jane.[EMAIL] or [EMAIL]", false, false},
		{"what partial keeps, and what follows", "mail ****.org or ****.org, ssn", true, false},
		{"more than partial keeps", "mail ****le.org or ****.org, ssn", true, true},
		{"nine digits that only words make a number", "mail [EMAIL] or [EMAIL], ssn 536904399", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sum soakSum
			if err := soakLeaks(d, c.masked, c.partial, &sum); (err != nil) != c.left || sum.leaked.Load() > 0 != c.left {
				t.Errorf("%v, %s", err, &sum)
			}
		})
	}
}
