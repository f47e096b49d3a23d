package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/wire"
)

const (
	// maxTried bounds the text that is tried, in bytes.
	maxTried = 64 << 20
	// maxPiece is the longest piece that --chunks random cuts, in bytes.
	maxPiece = 16
)

// maskTest is one trial of the rules on a text.
type maskTest struct {
	from          policyFlags
	groups        []string
	model, tensor string
	chunks        string
	seed          uint64
}

// tried is what a trial has shown.
type tried struct {
	Text     string    `json:"text"`
	Findings []finding `json:"findings"`
}

// finding is a match, without what matched.
type finding struct {
	Start    int    `json:"start"`
	End      int    `json:"end"`
	Entity   string `json:"entity"`
	Rule     string `json:"rule"`
	Action   string `json:"action"`
	Observed bool   `json:"observed"`
}

func newMaskTestCmd() *cobra.Command {
	var t maskTest
	cmd := &cobra.Command{
		Use:   "test --model MODEL --tensor OUTPUT [flags] < TEXT",
		Short: "Show what of a text would be masked, and by which rule",
		Long: `Test reads a text, takes it for an element of a model's output, and writes it as
a caller would get it; what was found, by which rule, goes to stderr. The
caller is in the groups of --groups, which rules may except.

With --chunks the text comes as a stream: whole (one answer, the default), a
number of bytes each, or random, which --seed makes the same again. However it is
cut, the result is the same.

It exits with 0 whether or not something was found, and with 1 where no rule
masks this output for this caller.`,
		Example: `  sluice mask test --policy policy.yaml --model chat --tensor text_output < answer.txt
  sluice mask test --config sluice.yaml --model chat --tensor text_output --groups pii-readers --chunks random --seed 7 < answer.txt`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.run(cmd) },

		DisableFlagsInUseLine: true,
	}
	t.from.add(cmd, "text", "json")
	cmd.Flags().StringVarP(&t.model, "model", "m", "", "the `model` that answers")
	cmd.Flags().StringVarP(&t.tensor, "tensor", "t", "", "the `output` that holds the text")
	cmd.Flags().StringSliceVar(&t.groups, "groups", nil, "the `groups` that the caller is in, separated by commas")
	cmd.Flags().StringVar(&t.chunks, "chunks", "whole", "whole, random, or `bytes` per answer of a stream")
	cmd.Flags().Uint64Var(&t.seed, "seed", 1, "what --chunks random begins with")
	return cmd
}

func (t *maskTest) run(cmd *cobra.Command) error {
	if t.model == "" || t.tensor == "" {
		return usage("say whose output the text is: --model MODEL --tensor OUTPUT")
	}
	cut, err := t.cutter()
	if err != nil {
		return err
	}
	p, err := t.from.load(cmd)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxTried+1))
	if err != nil {
		return err
	}
	if len(text) > maxTried {
		return usage("the text is longer than %d MiB; try a part of it", maxTried>>20)
	}
	engine := masking.NewEngine(p.Masking)
	engine.KeepTokens(nowhere{})
	plan := engine.Plan(&access.Principal{Subject: "anybody", Groups: t.groups}, t.model)
	if plan == nil || !plan.Masks(t.tensor) {
		return &exitError{exitFailure, fmt.Errorf("no rule masks output %s of model %s for this caller", access.Quote(t.tensor), access.Quote(t.model))}
	}
	shown, err := t.try(cmd.Context(), plan, string(text), cut)
	if err != nil {
		return &exitError{exitFailure, err}
	}
	if t.from.output == "json" {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(shown)
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), shown.Text); err != nil {
		return err
	}
	return shown.explain(cmd.ErrOrStderr())
}

// nowhere keeps no tokens: they leave no more than a terminal.
type nowhere struct{}

func (nowhere) Keep(context.Context, []masking.Token) error { return nil }

// cutter returns how long the next piece of a text is, at least one byte; nil
// where it comes whole.
func (t *maskTest) cutter() (func() int, error) {
	switch t.chunks {
	case "whole":
		return nil, nil
	case "random":
		random := rand.New(rand.NewPCG(t.seed, 0)) //nolint:gosec // the same again is what is wanted
		return func() int { return 1 + random.IntN(maxPiece) }, nil
	}
	n, err := strconv.Atoi(t.chunks)
	if err != nil || n < 1 {
		return nil, usage("--chunks %q: use whole, random, or a number of bytes", t.chunks)
	}
	return func() int { return n }, nil
}

// try masks the text as an answer, or as the answers of a stream.
func (t *maskTest) try(ctx context.Context, plan *masking.Plan, text string, cut func() int) (*tried, error) {
	found, refused := plan.Find(ctx, t.tensor, text)
	if refused != nil {
		return nil, refused
	}
	shown := &tried{Findings: []finding{}}
	for _, f := range found {
		shown.Findings = append(shown.Findings, finding{f.Start, f.End, f.Entity, f.Rule, f.Action, f.Observed})
	}
	// The backend is one whose way of streaming is known; of others a rule has to say it.
	facts := masking.Facts{Decoupled: cut != nil, Backend: "vllm"}
	mode, refused := plan.Mode(t.tensor, facts)
	if refused != nil {
		return nil, refused
	}
	answers := plan.Answers(facts)
	var masked strings.Builder
	for at := 0; ; {
		from, last := at, true
		if at = len(text); cut != nil {
			at = min(from+cut(), len(text))
			last = at == len(text)
		}
		if mode == masking.Cumulative {
			from = 0
			masked.Reset()
		}
		if err := t.answer(ctx, answers, text[from:at], last, &masked); err != nil {
			return nil, err
		}
		if last {
			shown.Text = masked.String()
			return shown, nil
		}
	}
}

// answer has one answer masked, and appends its text.
func (t *maskTest) answer(ctx context.Context, answers *masking.Answers, piece string, last bool, to *strings.Builder) error {
	raw := append(binary.LittleEndian.AppendUint32(nil, uint32(len(piece))), piece...)
	m, err := wire.FromProto(&inference.ModelStreamInferResponse{InferResponse: &inference.ModelInferResponse{
		ModelName:         t.model,
		Parameters:        map[string]*inference.InferParameter{"triton_final_response": {ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: last}}},
		Outputs:           []*inference.ModelInferResponse_InferOutputTensor{{Name: t.tensor, Datatype: "BYTES", Shape: []int64{1}}},
		RawOutputContents: [][]byte{raw},
	}})
	if err != nil {
		return err
	}
	defer m.Free()
	before, out, refused := answers.Mask(ctx, m)
	if refused != nil {
		return refused
	}
	if out != m {
		defer out.Free()
	}
	if before != nil {
		defer before.Free()
		if err := appendText(before, to); err != nil {
			return err
		}
	}
	return appendText(out, to)
}

// appendText appends the text of an answer.
func appendText(m *wire.Message, to *strings.Builder) error {
	var answer inference.ModelStreamInferResponse
	if err := m.Unmarshal(&answer); err != nil {
		return err
	}
	for _, raw := range answer.GetInferResponse().GetRawOutputContents() {
		to.Write(raw[4:])
	}
	return nil
}

// explain says by entity and rule how often something was found.
func (t *tried) explain(w io.Writer) error {
	if len(t.Findings) == 0 {
		_, err := fmt.Fprintln(w, "sluice: nothing was found")
		return err
	}
	type line struct {
		entity, rule, action string
		observed             bool
	}
	counts := map[line]int{}
	var order []line
	for _, f := range t.Findings {
		l := line{f.Entity, f.Rule, f.Action, f.Observed}
		if counts[l] == 0 {
			order = append(order, l)
		}
		counts[l]++
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ENTITY\tFOUND\tRULE\tACTION")
	for _, l := range order {
		action := l.action
		if l.observed {
			action = "none (observed)"
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", l.entity, counts[l], l.rule, action)
	}
	return table.Flush()
}
