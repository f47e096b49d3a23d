package report

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// The lines of a page between which the tables stand.
const (
	Begin = "<!-- bench: begin -->"
	End   = "<!-- bench: end -->"
)

var errMarkers = errors.New("page lacks the lines " + Begin + " and " + End)

// Insert puts text between the page's markers, in place of what is there.
func Insert(page, text string) (string, error) {
	before, rest, ok := strings.Cut(page, Begin+"\n")
	_, after, ok2 := strings.Cut(rest, End)
	if !ok || !ok2 {
		return "", errMarkers
	}
	return before + Begin + "\n" + strings.TrimSpace(text) + "\n" + End + after, nil
}

// Names of the files that [Run.Write] makes.
const (
	TableFile = "performance.md"
	JSONFile  = "performance.json"
	PlotFile  = "performance.svg"
)

// Write writes the tables, the JSON and the plot to dir.
func (r *Run) Write(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, TableFile), []byte(r.Markdown()), 0o644); err != nil {
		return err
	}
	return r.data(dir)
}

// Publish puts the tables into the page and the JSON and the plot beside it.
func (r *Run) Publish(page string) error {
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	text := "![CPU and memory, by target](" + PlotFile + ")\n\n" + r.Markdown()
	now, err := Insert(string(old), text)
	if err != nil {
		return err
	}
	if err := os.WriteFile(page, []byte(now), 0o644); err != nil {
		return err
	}
	return r.data(filepath.Dir(page))
}

func (r *Run) data(dir string) error {
	doc, err := r.JSON()
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, JSONFile), append(doc, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, PlotFile), []byte(r.SVG()), 0o644))
}
