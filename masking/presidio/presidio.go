// Package presidio asks an analyzer service as Microsoft Presidio is one: POST
// /analyze with a text, which answers where in it what is (presidio-analyzer
// 2.2, "Analyzer service REST API"). It is what masking's presidio detectors
// ask; the text goes to the configured service and nowhere else: no redirect is
// followed, and no proxy of the environment is used.
package presidio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/masking"
)

const (
	// maxAnswer is how long an answer may be, in bytes: some 10,000 spans.
	maxAnswer = 4 << 20
	// maxIdle is how many connections are kept open.
	maxIdle = 16
	// idleFor is how long: a policy that is replaced leaves its clients alone.
	idleFor = time.Minute
)

// Client asks one service. It is safe for concurrent use.
type Client struct {
	cfg  masking.Presidio
	url  string
	http *http.Client
}

var _ masking.Analyzer = (*Client)(nil)

// New makes a client of a service as configured. It does not connect. The error
// is that of a URL that is none.
func New(cfg masking.Presidio) (*Client, error) {
	cfg.SetDefaults()
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" {
		return nil, errors.New("the URL of the analyzer service is not one")
	}
	return &Client{
		cfg: cfg,
		url: strings.TrimSuffix(u.String(), "/") + "/analyze",
		http: &http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: idleFor, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse // the text is not for whoever is named there
			},
		},
	}, nil
}

// Close gives up idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// question is what the service is asked.
type question struct {
	Text     string   `json:"text"`
	Language string   `json:"language"`
	Entities []string `json:"entities,omitempty"`
}

// finding is one of the service's answers. Offsets are code points: it is Python.
type finding struct {
	Entity string  `json:"entity_type"`
	Start  int     `json:"start"`
	End    int     `json:"end"`
	Score  float64 `json:"score"`
}

// Analyze asks about one text. It ends after the configured time-out. Its errors
// hold nothing of the text nor of the answer.
func (c *Client) Analyze(ctx context.Context, text string) ([]masking.Span, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	body, err := json.Marshal(question{Text: text, Language: c.cfg.Language, Entities: c.cfg.Entities})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the analyzer service can't be asked")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the analyzer service answers with status %d", resp.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, unreachable(ctx, err)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("the analyzer service's answer is longer than %d bytes", maxAnswer)
	}
	return c.spans(answer)
}

// unreachable says why there is no answer, in words of ours: an error of net/http
// holds the URL.
func unreachable(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.New("the analyzer service does not answer in time")
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("the analyzer service can't be reached: %w", err)
}

// spans reads an answer. An entity that was not asked for does not count.
func (c *Client) spans(answer []byte) ([]masking.Span, error) {
	var found []finding
	if err := json.Unmarshal(answer, &found); err != nil {
		return nil, errors.New("the analyzer service's answer is not what it should be")
	}
	spans := make([]masking.Span, 0, len(found))
	for _, f := range found {
		if f.Start < 0 || f.End < f.Start {
			return nil, errors.New("the analyzer service's answer holds an impossible place")
		}
		spans = append(spans, masking.Span{Start: f.Start, End: f.End, Entity: f.Entity, Score: f.Score})
	}
	return spans, nil
}
