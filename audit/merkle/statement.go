package merkle

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/mod/sumdb/note"
)

// Statement is what is signed: at a time, a log had so many records, with this
// root. It also says what its maker last saw of other logs, so that none of them
// can vanish without it being seen, and what he has deleted of them.
type Statement struct {
	Origin string // "sluice/7f3a…"
	Size   uint64
	Root   Hash
	Time   time.Time
	Others []Seen
	Pruned []Pruned
}

// Pruned is another log, whose own process is gone, and up to which of its records,
// itself not included, the maker of the statement deleted them, as they were old.
type Pruned struct {
	Origin string
	To     uint64
}

// Seen is what was seen of another log.
type Seen struct {
	Origin string
	Size   uint64
	Root   Hash
}

const (
	timeWord  = "time"
	otherWord = "witness"
	pruneWord = "pruned"
)

// Text is the statement in the form of a C2SP tlog-checkpoint: origin, size and
// root, each on a line, then lines of our own. Another log whose name is no word is
// left out: who can write names into a database must not write lines that are signed.
func (s Statement) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d\n%s\n", s.Origin, s.Size, base64.StdEncoding.EncodeToString(s.Root[:]))
	if !s.Time.IsZero() {
		fmt.Fprintf(&b, "%s %s\n", timeWord, s.Time.UTC().Format(time.RFC3339Nano))
	}
	for _, o := range s.Others {
		if isWord(o.Origin) {
			fmt.Fprintf(&b, "%s %s %d %s\n", otherWord, o.Origin, o.Size, base64.StdEncoding.EncodeToString(o.Root[:]))
		}
	}
	for _, p := range s.Pruned {
		if isWord(p.Origin) {
			fmt.Fprintf(&b, "%s %s %d\n", pruneWord, p.Origin, p.To)
		}
	}
	return b.String()
}

func isWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

// Errors of what claims to be a statement.
var (
	ErrStatement = errors.New("merkle: not a statement about a log")
	ErrSignature = errors.New("merkle: not signed by the key")
)

// parse is the inverse of [Statement.Text]. Lines of a later version's are passed
// over.
func parse(text string) (Statement, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 {
		return Statement{}, ErrStatement
	}
	seen, err := parseSeen(lines[:3])
	if err != nil {
		return Statement{}, err
	}
	s := Statement{Origin: seen.Origin, Size: seen.Size, Root: seen.Root}
	for _, line := range lines[3:] {
		switch words := strings.Split(line, " "); {
		case words[0] == timeWord && len(words) == 2:
			if s.Time, err = time.Parse(time.RFC3339Nano, words[1]); err != nil {
				return Statement{}, ErrStatement
			}
		case words[0] == otherWord && len(words) == 4:
			other, err := parseSeen(words[1:])
			if err != nil {
				return Statement{}, err
			}
			s.Others = append(s.Others, other)
		case words[0] == pruneWord && len(words) == 3:
			to, err := number(words[2])
			if err != nil {
				return Statement{}, err
			}
			s.Pruned = append(s.Pruned, Pruned{words[1], to})
		}
	}
	return s, nil
}

func parseSeen(words []string) (s Seen, err error) {
	root, err := base64.StdEncoding.DecodeString(words[2])
	if err != nil || len(root) != len(s.Root) || words[0] == "" {
		return s, ErrStatement
	}
	s.Origin = words[0]
	copy(s.Root[:], root)
	s.Size, err = number(words[1])
	return s, err
}

// number reads one that is written in the only way that it can be.
func number(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return 0, ErrStatement
	}
	return n, nil
}

// Open checks a signed statement with the public key of its log (as [Key.Public]
// writes it). The error is [ErrSignature] or [ErrStatement].
func Open(signed []byte, public string) (Statement, error) {
	verifier, err := note.NewVerifier(public)
	if err != nil {
		return Statement{}, fmt.Errorf("%w: the key %q is none", ErrSignature, public)
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return Statement{}, fmt.Errorf("%w %s: %v", ErrSignature, verifier.Name(), err)
	}
	s, err := parse(n.Text)
	if err == nil && s.Origin != verifier.Name() {
		err = fmt.Errorf("%w: it is of %q and the key is %q's", ErrStatement, s.Origin, verifier.Name())
	}
	return s, err
}

// Unsigned reads a statement without asking who signed it: for display, and to
// find the key to ask.
func Unsigned(signed []byte) (Statement, error) {
	text, _, _ := strings.Cut(string(signed), "\n\n")
	return parse(text + "\n")
}
