package detect

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"unicode/utf8"
)

// Regex makes a detector of a regular expression in RE2's syntax. It looks at
// folded text: digits, letters, spaces and dashes of all kinds are ASCII ones
// there, accents are gone, and all characters that are no letters are alike to it. Of the
// empty ones only \b and \B are possible, since a stream does not know where a
// text begins and ends. The longest match counts. Errors say what is wrong,
// which is also that there is no longest match, or one of no characters.
func Regex(entity, expr string) (*Detector, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		var bad *syntax.Error
		if errors.As(err, &bad) {
			return nil, fmt.Errorf("%s: %s", bad.Code, bad.Expr)
		}
		return nil, err
	}
	if err := foldExpr(tree); err != nil {
		return nil, err
	}
	longest, err := longestMatch(tree)
	if err != nil {
		return nil, err
	}
	// Captures cost states and tell nothing here; the machine skips them.
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	m, err := newMachine(prog)
	if err != nil {
		return nil, err
	}
	if m.empty() {
		return nil, errors.New("matches no characters at all: make something in it necessary")
	}
	return &Detector{
		info:    Info{entity, "what " + expr + " matches", longest, 0.5},
		anchors: m.anchors(),
		score:   1,
		verify:  m.verify,
	}, nil
}

// foldedOther stands in expressions for all characters that are symOther.
const foldedOther = utf8.RuneError

// foldRange is the most characters of a range whose meanings are looked up; the
// letters of larger ones are taken as they are.
const foldRange = 0x1000

// foldExpr turns an expression on texts into one on folded texts.
func foldExpr(re *syntax.Regexp) error {
	switch re.Op {
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText:
		return errors.New(`^, $, \A and \z look at where a text begins and ends, which a stream does not know: use \b`)
	case syntax.OpLiteral:
		var runes []rune
		for _, r := range re.Rune {
			if r = foldRune(r); r != ignored {
				runes = append(runes, r)
			}
		}
		// A literal that is ignored in texts is nothing.
		if re.Rune = runes; len(runes) == 0 {
			*re = syntax.Regexp{Op: syntax.OpEmptyMatch}
		}
	case syntax.OpCharClass:
		foldClass(re)
	}
	for _, sub := range re.Sub {
		if err := foldExpr(sub); err != nil {
			return err
		}
	}
	return nil
}

func foldRune(r rune) rune {
	if r >= 0x80 {
		r = meaning(r)
	}
	if r == symbolOther {
		return foldedOther
	}
	return r
}

// foldClass adds to a class what its characters are in folded text.
func foldClass(re *syntax.Regexp) {
	for i, n := 0, len(re.Rune); i < n; i += 2 {
		lo, hi := max(re.Rune[i], 0x80), re.Rune[i+1]
		if hi-lo >= foldRange {
			continue
		}
		for r := lo; r <= hi; r++ {
			if f := foldRune(r); f != ignored && f != r {
				re.Rune = append(re.Rune, f, f)
			}
		}
	}
	re.Rune = sortedRanges(re.Rune)
}

// longestMatch is the most bytes that a match may have.
func longestMatch(re *syntax.Regexp) (n int, err error) {
	switch re.Op {
	case syntax.OpStar, syntax.OpPlus:
		return 0, fmt.Errorf("%v has no longest match: give it a bound, as in {1,20}", re)
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			n += utf8.RuneLen(r)
		}
		return n, nil
	case syntax.OpCharClass:
		if len(re.Rune) == 0 {
			return 0, nil
		}
		return utf8.RuneLen(re.Rune[len(re.Rune)-1]), nil
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return utf8.UTFMax, nil // in original bytes a symbol may have as many
	}
	for _, sub := range re.Sub {
		m, err := longestMatch(sub)
		if err != nil {
			return 0, err
		}
		if re.Op == syntax.OpAlternate {
			n = max(n, m)
		} else {
			n += m
		}
	}
	if re.Op == syntax.OpRepeat {
		if re.Max < 0 {
			return 0, fmt.Errorf("%v has no longest match: give it a bound, as in {1,20}", re)
		}
		n *= re.Max
	}
	return n, nil
}
