package masking

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/access"
)

// actionKind is one of the actions.
type actionKind string

// The actions, as policy files write them.
const (
	actionRedact  actionKind = "redact"
	actionPartial actionKind = "partial"
	actionHash    actionKind = "hash"
	actionReplace actionKind = "replace"
	actionDrop    actionKind = "drop"
	actionBlock   actionKind = "block"
	actionZero    actionKind = "zero"
	actionRound   actionKind = "round"
	actionTopK    actionKind = "top_k"
	actionClip    actionKind = "clip"
	actionNoise   actionKind = "noise"

	actionTokenize actionKind = "tokenize"
)

// plainActions are those that can be written as one word.
var plainActions = []string{"redact", "partial", "drop", "block", "zero"}

// needsSetting shows how those are written that can't.
var needsSetting = map[string]string{
	"hash": `{ hash: { key: "${NAME}" } }`, "tokenize": `{ tokenize: { key: "${NAME}" } }`, "replace": "{ replace: text }", "round": "{ round: 2 }",
	"top_k": "{ top_k: 5 }", "clip": "{ clip: [0, 1] }", "noise": "{ noise: 0.1 }",
}

// action checks a rule's action.
func (c *checker) action(path string, r *Rule, out *rule) action {
	a := &r.Action
	kinds := a.kinds()
	switch {
	case len(kinds) > 1:
		c.add(path, "one action a rule: %s are too many", strings.Join(kinds, " and "))
	case len(kinds) == 0:
		return c.plainAction(path, a.Word)
	case kinds[0] == string(actionHash):
		return action{kind: actionHash, key: c.key(path+".hash.key", "hash", a.Hash.Key)}
	case kinds[0] == string(actionTokenize):
		return c.tokenize(path+".tokenize", a.Tokenize)
	default:
		return c.setting(path+"."+kinds[0], actionKind(kinds[0]), a)
	}
	return action{}
}

// kinds are the settings that are there.
func (a *Action) kinds() (kinds []string) {
	for _, k := range []struct {
		kind actionKind
		set  bool
	}{
		{actionPartial, a.Partial != nil},
		{actionHash, a.Hash != nil},
		{actionTokenize, a.Tokenize != nil},
		{actionReplace, a.Replace != nil},
		{actionRound, a.Round != nil},
		{actionTopK, a.TopK != nil},
		{actionClip, a.Clip != nil},
		{actionNoise, a.Noise != nil},
	} {
		if k.set {
			kinds = append(kinds, string(k.kind))
		}
	}
	return kinds
}

func (c *checker) plainAction(path, name string) action {
	switch {
	case name == "":
		return action{kind: actionRedact}
	case name == string(actionPartial):
		return action{kind: actionPartial, n: defaultKeep}
	case needsSetting[name] != "":
		c.add(path, "%s needs a setting: write %s", name, needsSetting[name])
	default:
		for _, known := range plainActions {
			if known == name {
				return action{kind: actionKind(name)}
			}
		}
		all := plainActions
		for other := range needsSetting {
			all = append(all[:len(all):len(all)], other)
		}
		c.add(path, "unknown action %q%s", name, access.DidYouMean(name, all))
	}
	return action{}
}

// key reads an action's key: a missing one is a problem now, not at the first
// match.
func (c *checker) key(path, action string, from access.Secret) []byte {
	if from.IsZero() {
		c.add(path, `%s needs a key, by reference: key: "${NAME}" or key: file:PATH`, action)
		return nil
	}
	if c.opts.Unread {
		return make([]byte, minHashKey)
	}
	key, err := from.Resolve()
	switch {
	case err != nil:
		c.add(path, "%v", err)
	case len(key) < minHashKey:
		c.add(path, "the key has %d bytes; a key that can't be guessed has at least %d", len(key), minHashKey)
	}
	return []byte(key)
}

// tokenize checks that tokens can be kept.
func (c *checker) tokenize(path string, t *Tokenize) action {
	if c.opts.NoTokens != "" {
		c.add(path, "%s", c.opts.NoTokens)
	}
	if t.Keep < 0 || t.Keep > 0 && t.Keep < minKept {
		c.add(path+".keep", "must be at least %v; without it, what tokens stand for is kept for ever", minKept)
	}
	return action{kind: actionTokenize, key: c.key(path+".key", "tokenize", t.Key), keep: t.Keep}
}

// setting checks the actions that have one value.
func (c *checker) setting(path string, kind actionKind, a *Action) action {
	out := action{kind: kind}
	switch kind {
	case actionPartial:
		if out.n = a.Partial.KeepLast; out.n < 1 || out.n > maxKeep {
			c.add(path+".keep_last", "must be from 1 to %d characters", maxKeep)
		}
	case actionReplace:
		if out.text = *a.Replace; len(out.text) > maxReplaced || !utf8.ValidString(out.text) {
			c.add(path, "must be UTF-8 of at most %d bytes", maxReplaced)
		}
	case actionRound:
		if out.n = *a.Round; out.n < 0 || out.n > 15 {
			c.add(path, "must be from 0 to 15 digits")
		}
	case actionTopK:
		if out.n = *a.TopK; out.n < 1 {
			c.add(path, "must be at least 1; drop takes the tensor out")
		}
	case actionClip:
		if len(a.Clip) != 2 || a.Clip[0] > a.Clip[1] {
			c.add(path, "must be two numbers, the lower one first: [0, 1]")
			return out
		}
		out.low, out.high = a.Clip[0], a.Clip[1]
	case actionNoise:
		if out.high = *a.Noise; out.high <= 0 || math.IsInf(out.high, 0) || math.IsNaN(out.high) {
			c.add(path, "must be a standard deviation over 0")
		}
	}
	return out
}
