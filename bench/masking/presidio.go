package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/bench/masking/score"
)

// presidio is a running presidio.py. A nil one finds nothing and is not there.
type presidio struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	version string
}

// startPresidio starts it; nil where python is not there.
func startPresidio(ctx context.Context, python, script string) (*presidio, error) {
	if _, err := os.Stat(python); python == "" || errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	version, err := exec.CommandContext(ctx, python, "-c", "import importlib.metadata as m; print(m.version('presidio-analyzer'), end='')").Output()
	if err != nil {
		return nil, fmt.Errorf("asking for Presidio's version: %w", err)
	}
	p := &presidio{cmd: exec.CommandContext(ctx, python, script), version: string(version)}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// stop ends it: it ends with its input.
func (p *presidio) stop() {
	if p != nil {
		p.in.Close()
		p.cmd.Wait() //nolint:errcheck // nothing depends on how it ends
	}
}

// ask sends a line and reads the answer's.
func (p *presidio) ask(question map[string]any, answer any) error {
	line, err := json.Marshal(question)
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("asking Presidio: %w", err)
	}
	said, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading what Presidio answers: %w", err)
	}
	return json.Unmarshal(said, answer)
}

// analyze finds the entities in each text.
func (p *presidio) analyze(texts, entities []string) ([][]score.Found, error) {
	var answer struct {
		Spans [][]span `json:"spans"`
	}
	if err := p.ask(map[string]any{"analyze": texts, "entities": entities}, &answer); err != nil {
		return nil, err
	}
	if len(answer.Spans) != len(texts) {
		return nil, fmt.Errorf("asked Presidio about %d texts, it answered for %d", len(texts), len(answer.Spans))
	}
	found := make([][]score.Found, len(texts))
	for i, spans := range answer.Spans {
		found[i] = inBytes(texts[i], spans)
	}
	return found, nil
}

// load keeps texts there, to be timed.
func (p *presidio) load(texts, entities []string) error {
	var answer struct {
		Loaded int `json:"loaded"`
	}
	if err := p.ask(map[string]any{"load": texts, "entities": entities}, &answer); err != nil {
		return err
	}
	if answer.Loaded != len(texts) {
		return fmt.Errorf("gave Presidio %d texts, it took %d", len(texts), answer.Loaded)
	}
	return nil
}

// seconds is how long it takes for all that was loaded.
func (p *presidio) seconds() (float64, error) {
	var answer struct {
		Seconds float64 `json:"seconds"`
	}
	err := p.ask(map[string]any{"time": true}, &answer)
	return answer.Seconds, err
}

// span is what presidio.py says of one: [start, end, entity, score].
type span struct {
	start, end int
	entity     string
	score      float64
}

func (s *span) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&s.start, &s.end, &s.entity, &s.score})
}

// inBytes turns code points into bytes.
func inBytes(text string, spans []span) []score.Found {
	at := make([]int, 0, utf8.RuneCountInString(text)+1)
	for i := range text {
		at = append(at, i)
	}
	at = append(at, len(text))
	found := make([]score.Found, len(spans))
	for i, s := range spans {
		found[i] = score.Found{Start: at[s.start], End: at[s.end], Entity: s.entity, Score: s.score}
	}
	return found
}
