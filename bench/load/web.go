package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/bench/kserve"
)

// web is a client of HTTP/1.1, one connection for each caller: of the REST door,
// or of a server that speaks as vLLM does.
type web struct {
	Spec
	client *http.Client
	infers post
	want   []byte       // the answer's tensor
	length atomic.Int64 // of the answer that was compared
}

// post is a request: where to, what, and how much of that is JSON (0: all).
type post struct {
	path string
	body []byte
	json int
}

func newWeb(s Spec) (*web, error) {
	raw, err := kserve.NewAnswers(s.Ask.Output).Infer(s.Ask)
	if err != nil {
		return nil, err
	}
	w := &web{Spec: s, want: raw.BufferSlice[1].ReadOnlyData(), infers: inferPost(s.Ask)}
	w.client = &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: s.Callers, MaxConnsPerHost: max(s.Callers, 1), DisableCompression: true,
	}}
	return w, nil
}

// inferPost asks for the same as [kserve.Ask.Encode]: in JSON where that has two
// small tensors, in binary where it has one large.
func inferPost(a kserve.Ask) post {
	p := post{path: "/v2/models/" + a.Model + "/infer"}
	if a.Input > 1<<10 {
		p.body = fmt.Appendf(nil, `{"parameters":{"bench_input":%d,"bench_output":%d,"binary_data_output":true},"inputs":[{"name":"INPUT0","datatype":"FP32","shape":[1,%d],"parameters":{"binary_data_size":%d}}]}`,
			a.Input, a.Output, a.Input/4, a.Input)
		p.json = len(p.body)
		p.body = append(p.body, make([]byte, a.Input)...)
		return p
	}
	n := a.Input / 2 / 4
	data := strings.TrimSuffix(strings.Repeat("1234567,", n), ",")
	p.body = fmt.Appendf(nil, `{"parameters":{"bench_input":%d,"bench_output":%d},"inputs":[{"name":"INPUT0","datatype":"INT32","shape":[1,%d],"data":[%s]},{"name":"INPUT1","datatype":"INT32","shape":[1,%d],"data":[%s]}]}`,
		a.Input, a.Output, n, data, n, data)
	return p
}

func (w *web) Close() error {
	w.client.CloseIdleConnections()
	return nil
}

func (w *web) do(ctx context.Context, p post) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.Address+p.path, bytes.NewReader(p.body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if w.Token != "" {
		r.Header.Set("Authorization", "Bearer "+w.Token)
	}
	if p.json > 0 {
		r.Header.Set("Inference-Header-Content-Length", strconv.Itoa(p.json))
	}
	resp, err := w.client.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return nil, errors.Join(fmt.Errorf("status %d: %s", resp.StatusCode, text), resp.Body.Close())
	}
	return resp, nil
}

// check compares all of one answer, or takes one token.
func (w *web) check(ctx context.Context) error {
	if w.Ask.Tokens > 0 {
		return oneToken(ctx, w, w.Ask.Model)
	}
	resp, err := w.do(ctx, w.infers)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	w.length.Store(int64(len(body)))
	if w.infers.json > 0 {
		if !bytes.HasSuffix(body, w.want) {
			return errAnswer
		}
		return nil
	}
	return w.compareJSON(body)
}

func (w *web) compareJSON(body []byte) error {
	var answer struct{ Outputs []struct{ Data []int32 } }
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	var got []byte
	for _, out := range answer.Outputs {
		for _, v := range out.Data {
			got = binary.LittleEndian.AppendUint32(got, uint32(v))
		}
	}
	if !bytes.Equal(got, w.want) {
		return errAnswer
	}
	return nil
}

func (w *web) infer(ctx context.Context, _ int, _ *recorder) error {
	resp, err := w.do(ctx, w.infers)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if want := w.length.Load(); n != want {
		return fmt.Errorf("answer of %d bytes, want %d", n, want)
	}
	return nil
}

func (w *web) open(ctx context.Context, _ int, a kserve.Ask) (answers, error) {
	p := post{path: "/v2/models/" + a.Model + "/generate_stream"}
	p.body = fmt.Appendf(nil, `{"bench_tokens":%d,"bench_interval_ns":%d,"bench_input":0}`, a.Tokens, a.Interval)
	if w.Door == Completions {
		p.path = "/v1/completions"
		p.body = fmt.Appendf(nil, `{"model":%q,"prompt":%q,"stream":true}`, a.Model, a.Prompt())
	}
	resp, err := w.do(ctx, p)
	if err != nil {
		return nil, err
	}
	return &events{resp.Body, bufio.NewReader(resp.Body)}, nil
}

// events are the tokens of Server-Sent Events.
type events struct {
	body  io.Closer
	lines *bufio.Reader
}

func (e *events) last() error { return nil }

// next gives io.EOF behind the last event, when nothing of the answer is left.
func (e *events) next() (time.Time, error) {
	for {
		line, err := e.lines.ReadSlice('\n')
		if err != nil {
			return time.Time{}, endOf(err, e.body)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 || bytes.Equal(line, []byte("data: [DONE]")) {
			continue
		}
		due, err := kserve.TextDue(line)
		if err != nil {
			return due, endOf(fmt.Errorf("%w: %s", err, line), e.body)
		}
		return due, nil
	}
}

// endOf closes body; io.EOF stays what it is.
func endOf(err error, body io.Closer) error {
	if closed := body.Close(); closed != nil {
		return errors.Join(err, closed)
	}
	return err
}
