package approval

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Bounds on what an approver is shown, so that a request is small to keep. One with
// more parts than are shown can't be approved: nothing is agreed to unseen.
const (
	maxParts  = 512
	maxCovers = 128 << 10 // bytes of all of it, as it is kept
	maxTexts  = 32 << 10  // bytes of the beginnings of all texts
	maxText   = 512       // bytes of a value
	maxConfig = 4 << 10   // bytes of a configuration
	// maxMasked is how much of a text is masked to show its beginning, and tail how
	// much of that is not shown where the text goes on: what is sensitive there
	// could have been cut in two, and not have been found.
	maxMasked = 8 << 10
	tail      = 1 << 10
)

// Mask masks a text for people who may not see what is sensitive in it.
type Mask func(text string) string

// hidden shows nothing of a text.
func hidden(string) string { return "[hidden]" }

// summary is a Summary in the making.
type summary struct {
	Summary
	mask Mask
	left int // bytes of texts that are still to be shown
}

// add shows a part. One whose name is too long is left out: two names with one
// beginning would look the same.
func (s *summary) add(p Part) {
	if len(s.Parts) == maxParts || len(p.Name) > maxShown || len(p.Shape) > maxDims {
		s.More++
		return
	}
	p.Name = said(p.Name, maxShown)
	s.Parts = append(s.Parts, p)
}

// value fills in a text's beginning, masked, and its size, unless p has that
// already. A text that is longer than is shown has its hash as well.
func (s *summary) value(p Part, text string, most int) {
	known := p.SHA256 != ""
	if !known {
		p.Bytes = len(text)
	}
	shown := text
	if len(shown) > maxMasked {
		shown = shown[:maxMasked]
	}
	shown = s.mask(strings.ToValidUTF8(shown, string(utf8.RuneError)))
	if len(text) > maxMasked {
		shown = shown[:max(0, len(shown)-tail)]
	}
	most = min(most, s.left)
	p.Cut = len(text) > maxMasked || len(shown) > most
	p.Text = strings.ToValidUTF8(shown[:min(len(shown), most)], "")
	s.left -= len(p.Text)
	if p.Cut && !known {
		p.SHA256 = hashOf([]byte(text))
	}
	s.add(p)
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// ShowControl is what an approver sees of a decoded message of a control RPC:
// each parameter of a load or unload, its files by name, size and hash, each
// setting. Texts go through mask; without one none is shown. The models' names
// are the request's own.
func ShowControl(m proto.Message, mask Mask) *Summary {
	s := newSummary(mask)
	s.Bytes = proto.Size(m)
	r := m.ProtoReflect()
	fields := r.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		switch {
		case !r.Has(fd) || fd.Name() == "model_name" || fd.Name() == "name":
		case fd.IsMap():
			s.entries(fd, r.Get(fd).Map())
		default:
			s.field(string(fd.Name()), fd, r.Get(fd))
		}
	}
	if n := len(r.GetUnknown()); n > 0 {
		s.add(Part{Kind: PartUnknown, Bytes: n, SHA256: hashOf(r.GetUnknown())})
	}
	return &s.Summary
}

func newSummary(mask Mask) *summary {
	if mask == nil {
		mask = hidden
	}
	return &summary{mask: mask, left: maxTexts}
}

// rank puts files first, then a configuration, then the rest.
func rank(key string) int {
	switch {
	case strings.HasPrefix(key, "file:"):
		return 0
	case key == "config":
		return 1
	}
	return 2
}

// entries shows parameters and settings: what a load pushes before all else, each in
// the order of their names.
func (s *summary) entries(fd protoreflect.FieldDescriptor, m protoreflect.Map) {
	keys := sortedKeys(m)
	slices.SortStableFunc(keys, func(a, b protoreflect.MapKey) int { return cmp.Compare(rank(a.String()), rank(b.String())) })
	for _, k := range keys {
		v := m.Get(k)
		if fd.MapValue().Message() == nil {
			s.field(k.String(), fd.MapValue(), v)
			continue
		}
		value, inner := v.Message(), protoreflect.FieldDescriptor(nil)
		value.Range(func(set protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			inner = set
			return false
		})
		if inner == nil {
			s.add(Part{Kind: PartParameter, Name: k.String(), Type: "nothing"})
			continue
		}
		s.field(k.String(), inner, value.Get(inner))
	}
}

// filePrefix begins the parameters of a load that are files.
const filePrefix = "file:"

// field shows one value.
func (s *summary) field(name string, fd protoreflect.FieldDescriptor, v protoreflect.Value) {
	p := Part{Kind: PartParameter, Name: name, Type: fd.Kind().String()}
	file := strings.HasPrefix(name, filePrefix)
	switch x := v.Interface().(type) {
	case string:
		switch {
		case file: // as a text: a server may take it all the same
			p.Kind, p.Bytes, p.SHA256 = PartFile, len(x), hashOf([]byte(x))
			s.add(p)
		case name == "config":
			p.Kind = PartConfig
			s.value(p, x, maxConfig)
		default:
			s.value(p, x, maxText)
		}
	case []byte:
		if file {
			p.Kind = PartFile
		}
		p.Bytes, p.SHA256 = len(x), hashOf(x)
		s.add(p)
	case protoreflect.List:
		all := make([]string, 0, x.Len())
		for i := range x.Len() {
			all = append(all, fmt.Sprint(x.Get(i).Interface()))
		}
		s.value(p, strings.Join(all, ", "), maxText)
	case bool:
		p.Text = strconv.FormatBool(x)
		s.add(p)
	default:
		p.Text = fmt.Sprint(x)
		if len(p.Text) > maxText {
			p.Text, p.Cut = p.Text[:maxText], true
		}
		s.add(p)
	}
}
