package inference

import (
	"testing"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
)

// told notes what is sent, and what is heard.
type told struct {
	grpc.ServerStream
	all []string
}

func (s *told) SendMsg(any) error {
	s.all = append(s.all, "sent")
	return nil
}

// TestEachAnswerIsHeardOfBeforeItIsSent: the record tells from it what Sluice took.
func TestEachAnswerIsHeardOfBeforeItIsSent(t *testing.T) {
	client := new(told)
	call := &access.Call{OnAnswer: func() { client.all = append(client.all, "heard") }}
	l := newLine(access.WithCall(t.Context(), call), client)
	l.fail("1", "no", "")
	l.fail("2", "no", "")
	if got := client.all; len(got) != 4 || got[0] != "heard" || got[1] != "sent" || got[2] != "heard" || got[3] != "sent" {
		t.Errorf("%q", got)
	}
	call.OnAnswer = nil
	newLine(access.WithCall(t.Context(), call), client).fail("3", "no", "")
	if len(client.all) != 5 {
		t.Errorf("%q", client.all)
	}
}
