package load_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/bench/kserve"
	"github.com/sluice-gateway/sluice/bench/load"
)

// holding lets no call through before it is told to.
type holding struct {
	held     atomic.Int64
	approved chan struct{}
	approve  sync.Once
	refuses  bool
}

func (h *holding) server() *grpc.Server {
	answers := kserve.NewAnswers(128)
	return grpc.NewServer(grpc.ForceServerCodecV2(kserve.Codec{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		var in kserve.Raw
		if err := s.RecvMsg(&in); err != nil {
			return err
		}
		h.held.Add(1)
		defer h.held.Add(-1)
		select {
		case <-h.approved:
		case <-s.Context().Done():
			return s.Context().Err()
		}
		out, err := answers.Infer(kserve.Ask{Model: "m", Output: 128})
		if err != nil {
			return err
		}
		return s.SendMsg(out)
	}))
}

// console is the two answers of Sluice's own API that an approver needs.
func (h *holding) console(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Authorization") != "Bearer carol":
		http.Error(w, "who are you", http.StatusUnauthorized)
	case r.Method == http.MethodGet:
		fmt.Fprintf(w, `{"approvals":[{"id":"one","held_calls":%d}]}`, h.held.Load())
	case h.refuses || r.URL.Path != "/v1/approvals/one:approve":
		http.Error(w, "not that one", http.StatusForbidden)
	default:
		h.approve.Do(func() { close(h.approved) })
		_, _ = io.WriteString(w, `{"grant":{}}`)
	}
}

// holds gives a run whose calls are held by h.
func (h *holding) holds(t *testing.T) load.Spec {
	t.Helper()
	h.approved = make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(h.console))
	t.Cleanup(web.Close)
	s := spec(serve(t, h.server()))
	s.Mode, s.Console, s.Approver = load.Held, strings.TrimPrefix(web.URL, "http://"), "carol"
	s.Duration = time.Millisecond
	return s
}

func TestHeldCallsAreCountedAndReleased(t *testing.T) {
	s := new(holding).holds(t)
	got, err := load.Run(t.Context(), s)
	if err != nil || got.Errors > 0 {
		t.Fatal(err, got.FirstError)
	}
	if got.Calls != uint64(s.Callers) || got.Released <= 0 || got.After.RSS == 0 {
		t.Errorf("got %+v", got)
	}
}

func TestHeldCallsThatNobodyReleasesEnd(t *testing.T) {
	for name, change := range map[string]func(*load.Spec){
		"not that one":    func(*load.Spec) {},
		"who are you":     func(s *load.Spec) { s.Approver = "bob" },
		"needs a console": func(s *load.Spec) { s.Console = "" },
	} {
		t.Run(name, func(t *testing.T) {
			s := (&holding{refuses: true}).holds(t)
			change(&s)
			if _, err := load.Run(t.Context(), s); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v", err)
			}
		})
	}
}
