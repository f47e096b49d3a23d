package payload_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit/payload"
	pb "github.com/sluice-gateway/sluice/gen/inference"
)

// TestKept is the main road: a request, the answers of a stream with a value cut
// between them, an error; opened again they are masked, in their own timing.
func TestKept(t *testing.T) {
	now := &clock{now: opened}
	k, s := keeper(t, func(o *payload.Options) { o.Now = now.Now })
	c := k.Begin("m", infer, "session", opened)
	c.Request(request(t, "I am "+email))
	for _, text := range []string{"Dear jane.d", "oe@example.com, your card 4111 1111", " 1111 1111 is here."} {
		now.add(20 * time.Millisecond)
		c.Stream(chunk(t, text), now.Now())
	}
	c.Failure("lost " + ssn)
	sealed := await(c, true)
	if sealed.Payload == nil || !sealed.Ref.Complete {
		t.Fatalf("sealed %+v", sealed)
	}
	noSeeds(t, "the sealed payload", sealed.Payload.Body)
	s.put(sealed.Payload)
	content, err := reader(t, s, newWrap(t, 1), nil).Open(t.Context(), sealed.Ref)
	if err != nil || !content.Complete || len(content.Frames) != 5 {
		t.Fatalf("opened %+v, %v", content, err)
	}
	var texts []string
	for i, f := range content.Frames {
		noSeeds(t, fmt.Sprintf("frame %d", i), f.Message)
		if f.Kind == payload.Stream {
			texts = append(texts, outputOf(t, f))
			if want := time.Duration(i) * 20 * time.Millisecond; f.At != want {
				t.Errorf("frame %d at %v, want %v", i, f.At, want)
			}
		}
	}
	if want := []string{"Dear [EMAIL]", ", your card [CARD]", " is here."}; !slices.Equal(texts, want) {
		t.Errorf("texts %q, want %q", texts, want)
	}
	if got := string(content.Frames[4].Message); got != "lost [SSN]" {
		t.Errorf("error %q", got)
	}
	if f := content.Frames[0]; !f.Masked || !f.Asked() || f.TypeName() != "inference.ModelInferRequest" || !content.Frames[1].Masked {
		t.Errorf("request %+v", f)
	}
}

func TestKeptOfOthers(t *testing.T) {
	k, s := keeper(t, func(o *payload.Options) {
		o.Rules = rules(func(r *payload.Rule) { r.Verbs = []string{"infer", "load_override"} })
	})
	unary := k.Begin("m", infer, "", opened)
	unary.Answer(message(t, response("to "+email)))
	load := k.Begin("m", access.LoadOverride, "", opened)
	load.OtherRequest(&pb.RepositoryModelLoadRequest{ModelName: "m", Parameters: map[string]*pb.ModelRepositoryParameter{
		"config": {ParameterChoice: &pb.ModelRepositoryParameter_StringParam{StringParam: "owner " + email}},
	}})
	load.OtherAnswer(&pb.RepositoryModelLoadResponse{})
	r := reader(t, s, newWrap(t, 1), nil)
	for _, c := range []*payload.Capture{unary, load} {
		sealed := c.Seal(t.Context(), true)
		s.put(sealed.Payload)
		content, err := r.Open(t.Context(), sealed.Ref)
		if err != nil || !strings.Contains(string(content.Frames[0].Message), "[EMAIL]") {
			t.Errorf("opened %+v, %v", content, err)
		}
	}
}

func TestWhichAreKept(t *testing.T) {
	none := func(models ...string) payload.Rule { return payload.Rule{Models: models, Verbs: []string{"infer"}} }
	all := rules(nil)[0]
	tests := []struct {
		name  string
		rules payload.Rules
		verb  access.Verb
		want  bool
	}{
		{"no rule", nil, infer, false},
		{"a rule", payload.Rules{all}, infer, true},
		{"another verb", payload.Rules{all}, access.Load, false},
		{"the first that fits decides", payload.Rules{none("secret-*"), all}, infer, false},
		{"another model's does not", payload.Rules{none("other"), all}, infer, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, _ := keeper(t, func(o *payload.Options) { o.Rules = tt.rules })
			c := k.Begin("secret-m", tt.verb, "", opened)
			if got := c != nil; got != tt.want || k.Captures("secret-m", tt.verb) != tt.want {
				t.Errorf("captured %v, want %v", got, tt.want)
			}
			if c != nil {
				await(c, true)
			}
		})
	}
}

func TestSampledBySession(t *testing.T) {
	k, _ := keeper(t, func(o *payload.Options) { o.Rules = rules(func(r *payload.Rule) { r.Payloads.Share = 0.5 }) })
	some := 0
	for i := range 400 {
		session := fmt.Sprint("session ", i)
		first := k.Begin("m", infer, session, opened) != nil
		if again := k.Begin("m", infer, session, opened) != nil; again != first {
			t.Fatalf("session %d is kept in part", i)
		}
		if first {
			some++
		}
	}
	if some < 120 || some > 280 {
		t.Errorf("%d of 400 sessions, want about half", some)
	}
}

func TestNothingIsCaptured(t *testing.T) {
	var none *payload.Keeper
	c := none.Begin("m", infer, "", opened)
	c.Request(request(t, "x"))
	c.Stream(chunk(t, "x"), opened)
	c.OtherRequest(&pb.ServerLiveRequest{})
	c.Failure("x")
	c.Drop()
	if got := await(c, true); got != (payload.Sealed{}) || c.Seal(t.Context(), true) != (payload.Sealed{}) {
		t.Errorf("got %+v", got)
	}
	if none.Stats().Kept != 0 || none.Captures("m", infer) {
		t.Error("a nil keeper keeps")
	}
}

func TestRequestsAreLeftOut(t *testing.T) {
	k, s := keeper(t, func(o *payload.Options) { o.Rules = rules(func(r *payload.Rule) { r.Requests = false }) })
	c := k.Begin("m", infer, "", opened)
	c.Request(request(t, "x"))
	c.Answer(message(t, response("y")))
	sealed := await(c, true)
	s.put(sealed.Payload)
	content, err := reader(t, s, newWrap(t, 1), nil).Open(t.Context(), sealed.Ref)
	if err != nil || len(content.Frames) != 1 || content.Frames[0].Kind != payload.Answer {
		t.Errorf("opened %+v, %v", content, err)
	}
}

// TestCap: a message that does not fit is told of by its size, and so are all that
// follow; what a value's first half could be is not kept.
func TestCap(t *testing.T) {
	k, s := keeper(t, func(o *payload.Options) { o.Rules = rules(func(r *payload.Rule) { r.Cap = 1 << 10 }) })
	c := k.Begin("m", infer, "", opened)
	c.Stream(chunk(t, "hello "+strings.Repeat("x", 700)+" 4111 1111 "), opened)
	c.Stream(chunk(t, "1111 1111"+strings.Repeat("y", 2000)), opened)
	c.Stream(chunk(t, "small"), opened)
	sealed := await(c, true)
	if sealed.Ref.Complete {
		t.Error("said to be complete")
	}
	s.put(sealed.Payload)
	content, err := reader(t, s, newWrap(t, 1), nil).Open(t.Context(), sealed.Ref)
	if err != nil || len(content.Frames) != 3 || content.Complete {
		t.Fatalf("opened %+v, %v", content, err)
	}
	if text := outputOf(t, content.Frames[0]); !strings.HasPrefix(text, "hello") || strings.Contains(text, "4111") {
		t.Errorf("kept %q", text)
	}
	for _, f := range content.Frames[1:] {
		if len(f.Message) > 0 || !f.Cut || f.Size == 0 {
			t.Errorf("frame %+v, want one of its size alone", f)
		}
	}
	if st := k.Stats(); st.Kept != 1 || st.Cut != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestLost(t *testing.T) {
	tests := []struct {
		name string
		opts func(o *payload.Options)
		call func(t *testing.T, k *payload.Keeper, c *payload.Capture)
		want payload.Lost
	}{
		{"no memory", func(o *payload.Options) { o.Memory = 8 << 10 }, func(t *testing.T, _ *payload.Keeper, c *payload.Capture) {
			for range 64 {
				c.Stream(chunk(t, strings.Repeat("x", 200)), opened)
			}
		}, payload.NoMemory},
		{"not attributed", nil, func(_ *testing.T, _ *payload.Keeper, c *payload.Capture) { c.Drop() }, payload.Unattributed},
		{"not masked", nil, func(t *testing.T, _ *payload.Keeper, c *payload.Capture) {
			c.Answer(message(t, &pb.ModelInferResponse{RawOutputContents: [][]byte{[]byte(email)}}))
		}, payload.Unmasked},
		{"no store", func(o *payload.Options) { o.Store = &shelf{err: errors.New("away")} }, nil, payload.NoKey},
		{"closed before", nil, func(_ *testing.T, k *payload.Keeper, _ *payload.Capture) { k.Close(context.Background()) }, payload.QueueFull},
		{"masking that panics", func(o *payload.Options) { o.Masker = func(string) payload.Masker { return panics{} } }, func(t *testing.T, _ *payload.Keeper, c *payload.Capture) {
			c.Answer(message(t, response("x")))
		}, payload.Unmasked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, _ := keeper(t, tt.opts)
			c := k.Begin("m", infer, "", opened)
			if tt.call != nil {
				tt.call(t, k, c)
			}
			got := await(c, true)
			if got.Payload != nil || got.Ref == nil || got.Ref.ID != "" || got.Ref.Complete || got.Lost != tt.want {
				t.Errorf("got %+v, %v, want nothing, because of %v", got, got.Lost, tt.want)
			}
			if n := k.Stats().Lost[tt.want.String()]; n != 1 {
				t.Errorf("%d are counted, want 1", n)
			}
		})
	}
}

type panics struct{ payload.Masker }

func (panics) Answer(context.Context, []byte, func(string, []byte)) ([]byte, *access.Error) {
	panic("masking")
}

// slow is masking that waits until it is let go.
type slow struct {
	payload.Masker
	begun, free chan struct{}
}

func (s slow) Text(ctx context.Context, text string, _ func(string, []byte)) (string, *access.Error) {
	s.begun <- struct{}{}
	select {
	case <-s.free:
		return text, nil
	case <-ctx.Done():
		return "", &access.Error{Message: "too late"}
	}
}

// TestQueueFull: workers that do not keep up cost payloads, never a call its time.
func TestQueueFull(t *testing.T) {
	s := slow{begun: make(chan struct{}, 9), free: make(chan struct{})}
	k, _ := keeper(t, func(o *payload.Options) {
		o.Workers, o.Queue = 1, 2
		o.Masker = func(string) payload.Masker { return s }
	})
	var mu sync.Mutex
	var lost []payload.Lost
	var all sync.WaitGroup
	closeOne := func() {
		c := k.Begin("m", infer, "", opened)
		c.Failure("x")
		all.Add(1)
		c.Close(true, func(s payload.Sealed) {
			mu.Lock()
			defer mu.Unlock()
			lost = append(lost, s.Lost)
			all.Done()
		})
	}
	closeOne()
	<-s.begun
	for range 4 {
		closeOne()
	}
	close(s.free)
	all.Wait()
	slices.Sort(lost)
	if want := []payload.Lost{0, 0, 0, payload.QueueFull, payload.QueueFull}; !slices.Equal(lost, want) {
		t.Errorf("got %v, want %v", lost, want)
	}
}

// TestCloseEnds: a keeper that is closed gives up on masking that hangs, and says
// of all that waited that they are lost.
func TestCloseEnds(t *testing.T) {
	s := slow{begun: make(chan struct{}, 9), free: make(chan struct{})}
	k, _ := keeper(t, func(o *payload.Options) {
		o.Workers = 1
		o.Masker = func(string) payload.Masker { return s }
	})
	results := make(chan payload.Sealed, 3)
	for range 3 {
		c := k.Begin("m", infer, "", opened)
		c.Failure("x")
		c.Close(true, func(s payload.Sealed) { results <- s })
	}
	<-s.begun
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	k.Close(ctx)
	for range 3 {
		if got := <-results; got.Payload != nil {
			t.Errorf("kept %+v", got)
		}
	}
}

func TestCapturesAtOnce(t *testing.T) {
	k, s := keeper(t, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				c := k.Begin("m", infer, "", opened)
				var both sync.WaitGroup
				both.Go(func() { c.Request(request(t, email)) })
				both.Go(func() { c.Stream(chunk(t, card), opened) })
				both.Wait()
				if sealed := await(c, true); sealed.Payload != nil {
					s.put(sealed.Payload)
				}
			}
		})
	}
	all.Wait()
	if st := k.Stats(); st.Kept != 160 {
		t.Errorf("stats %+v", st)
	}
}

func TestNeeds(t *testing.T) {
	if _, err := payload.New(payload.Options{}); err == nil {
		t.Error("a keeper without masking, keys and store starts")
	}
}
