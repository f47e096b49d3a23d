package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// publish puts each table between its two marks in the page. All or nothing.
func publish(page string, tables map[string]string) error {
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	text := string(old)
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		if text, err = insert(text, name, tables[name]); err != nil {
			return fmt.Errorf("%s: %w", page, err)
		}
	}
	return os.WriteFile(page, []byte(text), 0o644)
}

// insert puts table between the marks of its name, in place of what is there.
func insert(page, name, table string) (string, error) {
	begin, end := fmt.Sprintf("<!-- bench-masking: %s begin -->\n", name), fmt.Sprintf("<!-- bench-masking: %s end -->", name)
	before, rest, ok := strings.Cut(page, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("lacks the lines %s and %s", strings.TrimSpace(begin), end)
	}
	return before + begin + strings.TrimSpace(table) + "\n" + end + after, nil
}
