package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
)

const module = "github.com/sluice-gateway/sluice"

// comments are the texts of one package's structs: "Server" and "Server.GRPC".
type comments map[string]string

// source reads comments out of a module's packages, each once.
type source struct {
	root     string
	packages map[string]comments
}

func newSource(root string) *source {
	return &source{root: root, packages: make(map[string]comments)}
}

// of returns the text of the struct t, and where field is not "" of its field.
func (s *source) of(t reflect.Type, field string) (string, error) {
	c, err := s.pkg(t.PkgPath())
	if err != nil {
		return "", err
	}
	name := t.Name()
	if field != "" {
		name += "." + field
	}
	return c[name], nil
}

func (s *source) pkg(path string) (comments, error) {
	if c, ok := s.packages[path]; ok {
		return c, nil
	}
	dir, ok := strings.CutPrefix(path, module)
	if !ok {
		return nil, fmt.Errorf("package %s is not of this module", path)
	}
	files, err := filepath.Glob(filepath.Join(s.root, dir, "*.go"))
	if err != nil {
		return nil, err
	}
	c := make(comments)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		c.add(parsed)
	}
	s.packages[path] = c
	return c, nil
}

func (c comments) add(file *ast.File) {
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range gen.Specs {
			ts, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			c[ts.Name.Name] = oneLine(gen.Doc.Text())
			if st, ok := ts.Type.(*ast.StructType); ok {
				c.addFields(ts.Name.Name, st)
			}
		}
	}
}

// addFields takes a field's own comment; fields that share one line share it.
func (c comments) addFields(name string, st *ast.StructType) {
	for _, field := range st.Fields.List {
		text := oneLine(field.Doc.Text())
		if text == "" {
			text = oneLine(field.Comment.Text())
		}
		for _, id := range field.Names {
			c[name+"."+id.Name] = text
		}
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
