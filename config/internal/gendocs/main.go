// Gendocs writes docs/CONFIGURATION.md, the reference of sluice.yaml and of the
// policy files, out of the structs that they are decoded into: keys from the
// yaml tags, defaults from SetDefaults, texts from the comments.
//
//	go run ./config/internal/gendocs docs/CONFIGURATION.md
//
// It is run from the root of the module. A text that is wrong on the page is
// corrected in the comment that it comes from.
package main

import (
	"bytes"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: gendocs FILE")
	}
	var page bytes.Buffer
	if err := write(&page, "."); err != nil {
		return err
	}
	return os.WriteFile(args[0], page.Bytes(), 0o644) //nolint:gosec // a page of the docs is for everybody
}
