package masking_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/masking"
)

// vault keeps tokens in memory. It takes copies: what it is given is wiped.
type vault struct {
	mu    sync.Mutex
	texts map[string]string
	all   []masking.Token
	err   error
}

func newVault() *vault { return &vault{texts: map[string]string{}} }

func (v *vault) Keep(_ context.Context, tokens []masking.Token) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil {
		return v.err
	}
	for _, t := range tokens {
		v.texts[t.ID] = string(t.Text)
		v.all = append(v.all, t)
	}
	return nil
}

var tokenForm = regexp.MustCompile(`[A-Z_]+_tok_[a-z2-7]{26}`)

// revealed is a text with what its tokens stand for in their places.
func (v *vault) revealed(t testing.TB, text string) string {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	return tokenForm.ReplaceAllStringFunc(text, func(token string) string {
		clear, kept := v.texts[token]
		if !kept {
			t.Errorf("token %s left and was not kept", token)
		}
		return clear
	})
}

func tokenizes(t testing.TB, change func(r *masking.Rule)) masking.Rule {
	t.Helper()
	tokenize := &masking.Tokenize{}
	if err := tokenize.Key.UnmarshalText([]byte("${MASK_KEY}")); err != nil {
		t.Fatal(err)
	}
	return redacts(func(r *masking.Rule) {
		r.Action = masking.Action{Tokenize: tokenize}
		if change != nil {
			change(r)
		}
	})
}

// planOf is plan with a vault, which may be nil.
func planOf(t testing.TB, v masking.Vault, rules ...masking.Rule) *masking.Plan {
	t.Helper()
	engine := masking.NewEngine(compile(t, masking.Document{Masking: rules}, masking.Options{}))
	if v != nil {
		engine.KeepTokens(v)
	}
	return engine.Plan(nil, "m")
}

const tokenKey = "a key of enough bytes"

// TestTokensStandForTheirTexts: the same value has the same token, however it is
// written, another key or entity another one; what it stands for is kept.
func TestTokensStandForTheirTexts(t *testing.T) {
	checkBuffers(t)
	v := newVault()
	tokenOf := func(key, text string) string {
		t.Setenv("MASK_KEY", key)
		return wholeText(t, nil, text, planOf(t, v, tokenizes(t, nil)))
	}
	one := tokenOf(tokenKey, "4111 1111 1111 1111")
	if !regexp.MustCompile(`^CARD_tok_[a-z2-7]{26}$`).MatchString(one) || v.texts[one] != "4111 1111 1111 1111" {
		t.Errorf("%q stands for %q", one, v.texts[one])
	}
	for _, same := range []string{"4111111111111111", "4111-1111-1111-1111", `4111 1111\u00201111 1111`} {
		if got := tokenOf(tokenKey, same); got != one {
			t.Errorf("%q: got %q, want %q", same, got, one)
		}
	}
	if tokenOf(tokenKey, "5500 0000 0000 0004") == one || tokenOf("another key of 16", "4111 1111 1111 1111") == one {
		t.Error("another value or key has the same token")
	}
	mail := tokenOf(tokenKey, `to jane\u0040example.com.`)
	if !regexp.MustCompile(`^to EMAIL_tok_[a-z2-7]{26}\.$`).MatchString(mail) || v.revealed(t, mail) != "to jane@example.com." {
		t.Errorf("got %q, revealed %q", mail, v.revealed(t, mail))
	}
	for _, kept := range v.all {
		if kept.Model != "m" || strings.Trim(string(kept.Text), "\x00") != "" {
			t.Errorf("kept of model %q; %q is left of the text", kept.Model, kept.Text)
		}
	}
}

// TestTokenizedStreams are the tokenized wholes, wherever they are cut, and every
// token that leaves was kept before.
func TestTokenizedStreams(t *testing.T) {
	checkBuffers(t)
	t.Setenv("MASK_KEY", tokenKey)
	for _, format := range []masking.Format{masking.Text, masking.JSON} {
		rules := []masking.Rule{tokenizes(t, func(r *masking.Rule) { r.Format = format })}
		for seed := range uint64(300) {
			r := rand.New(rand.NewPCG(seed, 7))
			text := texts[r.IntN(len(texts))]
			v := newVault()
			var answers []*pb.ModelStreamInferResponse
			for _, chunk := range chunks(r, text) {
				answers = append(answers, answer(false, output(&pb.ModelInferResponse{}, layout(r.IntN(2) == 0), "text_output", chunk)))
			}
			got, refused := sent(t, planOf(t, v, rules...).Answers(decoupled), true, answers...)
			if refused != nil {
				t.Fatal(refused)
			}
			want := wholeText(t, nil, text, planOf(t, newVault(), rules...))
			if masked := joined(t, got, "text_output", 1)[0]; masked != want {
				t.Fatalf("%s, seed %d:\ngot  %q\nwant %q", format, seed, masked, want)
			}
			if format == masking.Text {
				if back := v.revealed(t, want); strings.Contains(back, "_tok_") || strings.Contains(text, "jane.doe@") && !strings.Contains(back, "jane.doe@") {
					t.Fatalf("seed %d: %q is revealed as %q", seed, want, back)
				}
			}
		}
	}
}

// TestTokensThatCanNotBeKept do not leave, in a whole answer, in a stream, nor in an
// error's text; nor do they where there is nowhere to keep them.
func TestTokensThatCanNotBeKept(t *testing.T) {
	checkBuffers(t)
	t.Setenv("MASK_KEY", tokenKey)
	away := newVault()
	away.err = errors.New("disk full at /var/lib")
	for name, v := range map[string]masking.Vault{"away": away, "nowhere": nil} {
		t.Run(name, func(t *testing.T) {
			p := planOf(t, v, tokenizes(t, nil))
			check := func(refused *access.Error) {
				t.Helper()
				if refused == nil || refused.Reason != access.ReasonBlocked || refused.Kind != access.Unavailable || strings.Contains(refused.Message, "disk") {
					t.Errorf("got %v", refused)
				}
			}
			var counts masking.Counts
			got, refused := unary(t, p, output(&pb.ModelInferResponse{}, raw, "text_output", "to jane@example.com"), &counts)
			if check(refused); got != nil {
				t.Errorf("an answer left: %v", got)
			}
			if got, refused := unary(t, p, output(&pb.ModelInferResponse{}, raw, "text_output", "clean"), &counts); refused != nil || got != nil {
				t.Errorf("an answer without tokens: %v, %v", got, refused)
			}
			answers := p.Answers(decoupled)
			out, refused := sent(t, answers, false, answer(false, output(&pb.ModelInferResponse{}, raw, "text_output", "to jane@exam")), answer(false, output(&pb.ModelInferResponse{}, raw, "text_output", "ple.com, and more")))
			check(refused)
			if text := joined(t, out, "text_output", 1)[0]; text != "to " {
				t.Errorf("%q left", text)
			}
			_, refused = answers.Flush(t.Context())
			check(refused)
			held := p.Answers(decoupled)
			if _, refused := sent(t, held, false, answer(false, output(&pb.ModelInferResponse{}, raw, "text_output", "to jane@example.com"))); refused != nil {
				t.Fatal(refused)
			}
			_, refused = held.Flush(t.Context())
			check(refused)
			if got := p.Text(t.Context(), "bad input jane@example.com", &counts); strings.Contains(got, "jane") || strings.Contains(got, "_tok_") {
				t.Errorf("an error says %q", got)
			}
		})
	}
}

// TestNothingIsKeptOf what is only counted, tried or recorded.
func TestNothingIsKeptOf(t *testing.T) {
	checkBuffers(t)
	t.Setenv("MASK_KEY", tokenKey)
	v := newVault()
	observes := planOf(t, v, tokenizes(t, func(r *masking.Rule) { r.Observe = true }))
	if got := wholeText(t, nil, "to jane@example.com", observes); got != "to jane@example.com" {
		t.Errorf("got %q", got)
	}
	tried, refused := planOf(t, v, tokenizes(t, nil)).Find(t.Context(), "text_output", "to jane@example.com")
	if refused != nil || len(tried) != 1 || !tokenForm.MatchString(tried[0].Text) || tried[0].Action != "tokenize" {
		t.Errorf("got %v, %v", tried, refused)
	}
	policy := compile(t, masking.Document{Masking: []masking.Rule{tokenizes(t, nil)}}, masking.Options{})
	policy.KeepTokens(v)
	if got, refused := policy.Record("m").Text(t.Context(), "to jane@example.com", nil); refused != nil || !tokenForm.MatchString(got) {
		t.Errorf("recorded %q, %v", got, refused)
	}
	if len(v.all) != 0 {
		t.Errorf("kept %d", len(v.all))
	}
}

// TestTokensOfAnswers: those of parameters and labels are kept as well, and how long.
func TestTokensOfAnswers(t *testing.T) {
	checkBuffers(t)
	t.Setenv("MASK_KEY", tokenKey)
	v := newVault()
	rule := tokenizes(t, nil)
	rule.Action.Tokenize.Keep = 24 * time.Hour
	r := output(&pb.ModelInferResponse{}, typed, "text_output", "a jane@example.com", "b 536-90-4399", "a jane@example.com")
	r.Parameters = map[string]*pb.InferParameter{"note": {ParameterChoice: &pb.InferParameter_StringParam{StringParam: "to joe@example.com"}}}
	got, refused := unary(t, planOf(t, v, rule), r, nil)
	if refused != nil {
		t.Fatal(refused)
	}
	elements := elementsOf(t, got, 0)
	if elements[0] != elements[2] || v.revealed(t, elements[1]) != "b 536-90-4399" || v.revealed(t, got.GetParameters()["note"].GetStringParam()) != "to joe@example.com" {
		t.Errorf("got %v", got)
	}
	for _, kept := range v.all {
		if kept.Keep != 24*time.Hour {
			t.Errorf("kept for %v", kept.Keep)
		}
	}
}

// TestLookalikesGoThrough: what a prompt makes a model say is a text as any other,
// and makes no token.
func TestLookalikesGoThrough(t *testing.T) {
	checkBuffers(t)
	t.Setenv("MASK_KEY", tokenKey)
	v := newVault()
	for _, text := range []string{"EMAIL_tok_aaaaaaaaaaaaaaaaaaaaaaaaaa", "_tok_", "EMAIL_tok_", "[EMAIL_tok_" + strings.Repeat("a", 5000) + "]"} {
		if got := wholeText(t, nil, text, planOf(t, v, tokenizes(t, nil))); got != text {
			t.Errorf("%.40q becomes %.40q", text, got)
		}
	}
	if len(v.all) != 0 {
		t.Errorf("kept %v", v.all)
	}
}

// TestLongTextsAreRedacted: a value without a longest form is no token's.
func TestLongTextsAreRedacted(t *testing.T) {
	checkBuffers(t)
	t.Setenv("MASK_KEY", tokenKey)
	for lines, want := range map[int]string{20: "PRIVATE_KEY_tok_", 400: "[PRIVATE_KEY]"} {
		key := "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n", lines) + "-----END PRIVATE KEY-----\n"
		v := newVault()
		rules := tokenizes(t, func(r *masking.Rule) { r.Entities = entities("PRIVATE_KEY") })
		if got := wholeText(t, nil, "before "+key+"after", planOf(t, v, rules)); !strings.HasPrefix(got, "before "+want) || !strings.HasSuffix(got, "after") || strings.Contains(got, "MII") {
			t.Errorf("%d lines: got %.60q", lines, got)
		}
		if (len(v.all) == 1) != (lines == 20) {
			t.Errorf("%d lines: kept %d", lines, len(v.all))
		}
	}
}

func TestTokensNeedAStore(t *testing.T) {
	t.Setenv("MASK_KEY", tokenKey)
	d := masking.Document{Masking: []masking.Rule{tokenizes(t, nil)}}
	_, problems := masking.Compile([]masking.File{{Name: "p", Document: d}}, masking.Options{NoTokens: "there is no store"})
	if len(problems) != 1 || !strings.Contains(fmt.Sprint(problems[0]), "masking[0].action.tokenize: there is no store") {
		t.Errorf("got %v", problems)
	}
}

// TestAReloadKeepsTheVault: a policy that is put in force later has it too.
func TestAReloadKeepsTheVault(t *testing.T) {
	checkBuffers(t)
	t.Setenv("MASK_KEY", tokenKey)
	v, engine := newVault(), masking.NewEngine(nil)
	engine.KeepTokens(v)
	engine.Replace(nil)
	engine.Replace(compile(t, masking.Document{Masking: []masking.Rule{tokenizes(t, nil)}}, masking.Options{}))
	if got := wholeText(t, nil, "to jane@example.com", engine.Plan(nil, "m")); v.revealed(t, got) != "to jane@example.com" {
		t.Errorf("got %q", got)
	}
}
