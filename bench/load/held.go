package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// held makes all calls, measures while they wait, and has them released.
func (m *measurement) held(ctx context.Context, c door) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := m.begin(ctx); err != nil {
		return err
	}
	all := make([]*recorder, m.Callers)
	var ended sync.WaitGroup
	for i := range all {
		all[i] = new(recorder)
		ended.Go(func() {
			if err := c.infer(ctx, i, all[i]); err != nil {
				all[i].fail(err)
				return
			}
			all[i].calls++
		})
	}
	a := approver{Spec: m.Spec}
	ids, err := a.await(ctx, m.Callers)
	if err == nil {
		pause(ctx, m.Duration)
		err = m.end(ctx)
	}
	began := time.Now()
	for _, id := range ids {
		err = errors.Join(err, a.approve(ctx, id))
	}
	if err != nil {
		cancel()
	}
	late := time.AfterFunc(drainLimit, cancel)
	defer late.Stop()
	ended.Wait()
	m.res.Released = time.Since(began)
	into(&m.res, all)
	return err
}

// approver is a client of Sluice's own API.
type approver struct{ Spec }

// await waits until so many calls are held, and gives the requests for which.
func (a approver) await(ctx context.Context, calls int) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, overhead/2)
	defer cancel()
	for {
		var page struct {
			Approvals []struct {
				ID        string `json:"id"`
				HeldCalls int    `json:"held_calls"`
			} `json:"approvals"`
		}
		if err := a.ask(ctx, http.MethodGet, "/v1/approvals?approvable=true&page_size=1000", "", &page); err != nil {
			return nil, err
		}
		var ids []string
		held := 0
		for _, r := range page.Approvals {
			ids = append(ids, r.ID)
			held += r.HeldCalls
		}
		if held >= calls {
			return ids, nil
		}
		if pause(ctx, lookEvery); ctx.Err() != nil {
			return nil, fmt.Errorf("%d of %d calls are held", held, calls)
		}
	}
}

// lookEvery is the time between two looks at what is held.
const lookEvery = 100 * time.Millisecond

func (a approver) approve(ctx context.Context, id string) error {
	return a.ask(ctx, http.MethodPost, "/v1/approvals/"+id+":approve", `{"reason":"a benchmark"}`, new(struct{}))
}

func (a approver) ask(ctx context.Context, method, path, body string, out any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+a.Console+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+a.Approver)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, answer.Status, text)
	}
	return json.Unmarshal(text, out)
}
