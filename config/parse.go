package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// maxFile bounds a configuration file, in bytes.
	maxFile = 8 << 20
	// maxValues bounds the values of one document with its aliases expanded,
	// so that a few lines cannot become a billion values.
	maxValues = 500_000
	// maxDepth bounds the nesting of values; no setting comes near.
	maxDepth = 100
)

// parse reads the one document of a file. Its problems are about the file as
// YAML; there is a node exactly where there is no problem.
func parse(file string, data []byte) (*yaml.Node, *Problem) {
	if len(data) > maxFile {
		return nil, &Problem{File: file, Message: fmt.Sprintf("is longer than %d MiB", maxFile>>20)}
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	err := d.Decode(&doc)
	if errors.Is(err, io.EOF) || (err == nil && isNull(&doc)) {
		return nil, &Problem{File: file, Line: 1, Column: 1, Message: "is empty"}
	}
	if err != nil {
		return nil, syntaxProblem(file, data, err)
	}
	switch err := d.Decode(&more); {
	case err == nil:
		return nil, &Problem{File: file, Line: more.Line, Column: more.Column, Message: "holds more than one document (---); write one"}
	case !errors.Is(err, io.EOF):
		return nil, syntaxProblem(file, data, err)
	}
	return doc.Content[0], nil
}

func isNull(doc *yaml.Node) bool {
	return len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null"
}

var (
	syntaxLine    = regexp.MustCompile(`^line (\d+): `)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntaxProblem reads the line out of the YAML library's error text, its only
// place for it. The library knows no columns.
func syntaxProblem(file string, data []byte, err error) *Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	p := &Problem{File: file, Line: 1, Column: 1}
	if m := syntaxLine.FindStringSubmatch(text); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	} else if m := unknownAnchor.FindStringSubmatch(text); m != nil {
		p.Line, p.Column = find(data, "*"+m[1])
	}
	p.Message = "is not YAML: " + text
	return p
}

// find returns the place of the first word in data, 1:1 where it is not.
func find(data []byte, word string) (line, column int) {
	at := max(bytes.Index(data, []byte(word)), 0)
	return bytes.Count(data[:at], []byte{'\n'}) + 1, at - bytes.LastIndexByte(data[:at], '\n')
}
