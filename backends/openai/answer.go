package openai

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/sluice-gateway/sluice/backends/generate"
)

type rawJSON = json.RawMessage

// answer is a whole answer or one chunk of it, of a completion or of a chat: the
// fields that matter here have the same names in all four.
type answer struct {
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage"`
	Timings *timings `json:"timings"`
	Error   *failure `json:"error"`
}

type choice struct {
	Index    int       `json:"index"`
	Text     string    `json:"text"`
	Delta    *message  `json:"delta"`
	Message  *message  `json:"message"`
	Logprobs *logprobs `json:"logprobs"`
	Finish   *string   `json:"finish_reason"`
	TokenIDs []int     `json:"token_ids"`
}

type message struct {
	Content string `json:"content"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
}

// timings are llama.cpp's own count. Tokens of the prompt that were in its cache
// are counted apart.
type timings struct {
	Cached    *int `json:"cache_n"`
	Prompt    int  `json:"prompt_n"`
	Predicted int  `json:"predicted_n"`
}

// logprobs are a completion's (Tokens and so on) or a chat's (Content), which
// llama.cpp has in completions too.
type logprobs struct {
	Tokens  []string             `json:"tokens"`
	Values  []*float64           `json:"token_logprobs"`
	Top     []map[string]float64 `json:"top_logprobs"`
	Content []token              `json:"content"`
}

type token struct {
	ID    *int    `json:"id"`
	Token string  `json:"token"`
	Value float64 `json:"logprob"`
	Top   []token `json:"top_logprobs"`
}

// failure is an error object, at first or in the middle of a stream.
type failure struct {
	Message string          `json:"message"`
	Code    json.RawMessage `json:"code"`
}

// UnmarshalJSON also takes an error that is a text.
func (f *failure) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &f.Message) == nil {
		return nil
	}
	type plain failure
	return json.Unmarshal(b, (*plain)(f))
}

// status is the HTTP status that the error would have had, 0 if it does not tell.
func (f *failure) status() int {
	n, err := strconv.Atoi(string(f.Code))
	if err != nil || n < 400 || n > 599 {
		return 0
	}
	return n
}

// decode reads one chunk, which may be an error instead. What a holds of the one
// before is used again.
func decode(data []byte, a *answer) error {
	*a = answer{Choices: a.Choices[:0]}
	if scan(data, a) {
		return nil
	}
	*a = answer{}
	if err := json.Unmarshal(data, a); err != nil {
		return generate.Garbage(err)
	}
	if a.Error != nil {
		if a.Error.Message == "" {
			a.Error.Message = "the model's server failed"
		}
		return generate.Failure(a.Error.status(), a.Error.Message)
	}
	return nil
}

// counter turns the count of llama.cpp's timings, which is of one sequence from its
// beginning, into numbers of new tokens.
type counter struct {
	on   bool
	last [generate.MaxSequences]int
}

// count is how many tokens of a sequence are new, and what is known of the whole.
func (c *counter) count(a *answer, index int) (tokens int, all generate.Usage) {
	all = a.counted()
	if !c.on || a.Timings == nil || index < 0 || index >= len(c.last) {
		return 0, all
	}
	tokens = max(0, a.Timings.Predicted-c.last[index])
	c.last[index] += tokens
	all.Output = 0 // the usage, too, is of one sequence there
	return tokens, all
}

// emit hands on what an answer brought.
func (s *Server) emit(a *answer, numbers *counter, emit func(generate.Chunk) error) error {
	for i := range a.Choices {
		c := &a.Choices[i]
		out := generate.Chunk{Index: c.Index, Text: c.text(), Logprobs: c.logprobs()}
		tokens, counted := numbers.count(a, c.Index)
		if out.Tokens = tokens; i == len(a.Choices)-1 {
			out.Usage = counted // of all choices together
		}
		if c.Finish != nil {
			out.Finish = *c.Finish
		}
		if err := emit(out); err != nil {
			return err
		}
	}
	if counted := a.counted(); len(a.Choices) == 0 && counted != (generate.Usage{}) {
		return emit(generate.Chunk{Usage: counted})
	}
	return nil
}

// counted is the numbers of tokens so far, as far as the answer tells them.
func (a *answer) counted() generate.Usage {
	switch {
	case a.Usage != nil:
		return generate.Usage{Input: a.Usage.Prompt, Output: a.Usage.Completion}
	case a.Timings != nil && a.Timings.Cached != nil:
		return generate.Usage{Input: *a.Timings.Cached + a.Timings.Prompt}
	}
	return generate.Usage{}
}

func (c *choice) text() string {
	switch {
	case c.Delta != nil:
		return c.Delta.Content
	case c.Message != nil:
		return c.Message.Content
	}
	return c.Text
}

// logprobs are those of the new tokens, in either form.
func (c *choice) logprobs() []generate.TokenLogprobs {
	l := c.Logprobs
	switch {
	case l == nil:
		return nil
	case l.Content != nil:
		return c.chatLogprobs()
	}
	var all []generate.TokenLogprobs
	for i, text := range l.Tokens {
		if i >= len(l.Values) || l.Values[i] == nil {
			continue // a prompt's first token has none
		}
		chosen := generate.Logprob{ID: c.tokenID(i), Token: text, Value: *l.Values[i]}
		place := generate.TokenLogprobs{chosen}
		if i < len(l.Top) {
			for other, value := range l.Top[i] {
				place = append(place, same(chosen, generate.Logprob{ID: -1, Token: other, Value: value}))
			}
			sortPlace(place)
		}
		all = append(all, place)
	}
	return all
}

func (c *choice) chatLogprobs() []generate.TokenLogprobs {
	var all []generate.TokenLogprobs
	for i, t := range c.Logprobs.Content {
		chosen := generate.Logprob{ID: t.id(c.tokenID(i)), Token: t.Token, Value: t.Value}
		place := generate.TokenLogprobs{chosen}
		for _, other := range t.Top {
			place = append(place, same(chosen, generate.Logprob{ID: other.id(-1), Token: other.Token, Value: other.Value}))
		}
		sortPlace(place)
		all = append(all, place)
	}
	return all
}

// same gives the chosen token's number to the same token among the others.
func same(chosen, other generate.Logprob) generate.Logprob {
	if other.ID < 0 && other.Token == chosen.Token {
		other.ID = chosen.ID
	}
	return other
}

// sortPlace puts the likeliest of the others first; the chosen token stays.
func sortPlace(place generate.TokenLogprobs) {
	slices.SortFunc(place[1:], func(a, b generate.Logprob) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Token, b.Token))
	})
}

func (t *token) id(otherwise int) int {
	if t.ID != nil {
		return *t.ID
	}
	return otherwise
}

func (c *choice) tokenID(i int) int {
	if i < len(c.TokenIDs) {
		return c.TokenIDs[i]
	}
	return -1
}
