package tgitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// maxStop is --max-stop-sequences' default.
const maxStop = 4

// generation is one request, and what it has come to.
type generation struct {
	server *Server
	Inputs *string `json:"inputs"`
	// Parameters has defaults of its own, which are not those of a request that
	// has none.
	Parameters *parameters `json:"parameters"`
}

// parameters are those of a request; unknown ones are ignored, as TGI does.
type parameters struct {
	BestOf              *int     `json:"best_of"`
	Temperature         *float64 `json:"temperature"`
	RepetitionPenalty   *float64 `json:"repetition_penalty"`
	FrequencyPenalty    *float64 `json:"frequency_penalty"`
	TopK                *int     `json:"top_k"`
	TopP                *float64 `json:"top_p"`
	TypicalP            *float64 `json:"typical_p"`
	DoSample            bool     `json:"do_sample"`
	MaxNewTokens        *uint32  `json:"max_new_tokens"`
	ReturnFullText      *bool    `json:"return_full_text"`
	Stop                []string `json:"stop"`
	Truncate            *uint32  `json:"truncate"`
	Watermark           bool     `json:"watermark"`
	Details             bool     `json:"details"`
	DecoderInputDetails bool     `json:"decoder_input_details"`
	Seed                *uint64  `json:"seed"`
	TopNTokens          *uint32  `json:"top_n_tokens"`
	Grammar             any      `json:"grammar"`
	AdapterID           *string  `json:"adapter_id"`
}

// parse reads a body as axum's Json does, whose refusals are plain text.
func parse(body []byte) (g *generation, status int, refusal string) {
	g = new(generation)
	err := json.Unmarshal(body, g)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return nil, http.StatusBadRequest, fmt.Sprintf("Failed to parse the request body as JSON: %v at line 1 column %d", err, syntax.Offset)
	case errors.As(err, &kind):
		return nil, http.StatusUnprocessableEntity, fmt.Sprintf(
			"Failed to deserialize the JSON body into the target type: %s: invalid type: %s, expected %s at line 1 column %d", kind.Field, kind.Value, kind.Type, kind.Offset)
	case err == nil && g.Inputs == nil:
		return nil, http.StatusUnprocessableEntity, "Failed to deserialize the JSON body into the target type: missing field `inputs` at line 1 column " + fmt.Sprint(len(body))
	case err != nil:
		return nil, http.StatusBadRequest, "Failed to parse the request body as JSON: " + err.Error()
	}
	if g.Parameters == nil {
		g.Parameters = &parameters{DoSample: true}
	}
	return g, 0, ""
}

// sampled tells whether tokens are drawn.
func (g *generation) sampled() bool {
	p := g.Parameters
	return p.DoSample || p.Temperature != nil || p.TopK != nil || p.TopP != nil || p.TypicalP != nil
}

// input is the number of the prompt's tokens.
func (g *generation) input() int { return len(*g.Inputs) }

// limit is how many tokens may be made.
func (g *generation) limit() int {
	if n := g.Parameters.MaxNewTokens; n != nil {
		return int(*n)
	}
	return g.server.options.MaxTotal - g.input()
}

// validate refuses what TGI's validation does, in its words and order.
func (g *generation) validate(stream bool) *failure {
	p, o := g.Parameters, g.server.options
	open := func(v *float64) bool { return v == nil || *v > 0 && *v < 1 }
	checks := []struct {
		wrong bool
		text  string
	}{
		{stream && p.BestOf != nil && *p.BestOf != 1, "`best_of` != 1 is not supported when streaming tokens"},
		{stream && p.DecoderInputDetails, "`decoder_input_details` == true is not supported when streaming tokens"},
		{p.BestOf != nil && *p.BestOf > 2, "`best_of` must be > 0 and <= 2. Given: " + fmt.Sprint(deref(p.BestOf))},
		{p.Temperature != nil && *p.Temperature <= 0, "`temperature` must be strictly positive"},
		{p.RepetitionPenalty != nil && *p.RepetitionPenalty <= 0, "`repetition_penalty` must be strictly positive"},
		{p.FrequencyPenalty != nil && (*p.FrequencyPenalty < -2 || *p.FrequencyPenalty > 2), "`frequency_penalty` must be >= -2.0 and <= 2.0"},
		{!open(p.TopP), "`top_p` must be > 0.0 and < 1.0"},
		{!open(p.TypicalP), "`typical_p` must be > 0.0 and < 1.0"},
		{p.TopK != nil && *p.TopK <= 0, "`top_k` must be strictly positive"},
		{p.MaxNewTokens != nil && *p.MaxNewTokens == 0, "`max_new_tokens` must be strictly positive"},
		{len(p.Stop) > maxStop, fmt.Sprintf("`stop` supports up to %d stop sequences. Given: %d", maxStop, len(p.Stop))},
		{p.TopNTokens != nil && *p.TopNTokens > 5, "`top_n_tokens` must be >= 0 and <= 5. Given: " + fmt.Sprint(deref(p.TopNTokens))},
		{*g.Inputs == "", "`inputs` cannot be empty"},
		{g.input() > o.MaxInput, fmt.Sprintf("`inputs` must have less than %d tokens. Given: %d", o.MaxInput, g.input())},
		{
			g.input()+g.limit() > o.MaxTotal,
			fmt.Sprintf("`inputs` tokens + `max_new_tokens` must be <= %d. Given: %d `inputs` tokens and %d `max_new_tokens`", o.MaxTotal, g.input(), g.limit()),
		},
	}
	for _, c := range checks {
		if c.wrong {
			return &failure{http.StatusUnprocessableEntity, "Input validation error: " + c.text, "validation"}
		}
	}
	if id := p.AdapterID; id != nil && !slices.Contains(o.Adapters, *id) {
		return generationFailed("Unknown adapter id " + *id)
	}
	return nil
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// generationFailed is what a shard's error becomes.
func generationFailed(text string) *failure {
	return &failure{http.StatusFailedDependency, "Request failed during generation: Server error: " + text, "generation"}
}

// stopped tells whether the text ends with a stop sequence.
func (g *generation) stopped(text string) bool {
	return slices.ContainsFunc(g.Parameters.Stop, func(stop string) bool { return stop != "" && strings.HasSuffix(text, stop) })
}
