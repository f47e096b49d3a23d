package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// The exit codes: 0 is success, 1 a failure or a "no", 2 a command that was
// used wrongly. `policy test` has two more.
const (
	exitFailure = 1
	exitUsage   = 2
)

// exitError ends the program with a code of its own. A nil err says nothing.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage is the error of a command that was used wrongly.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// exitCode says what went wrong on stderr, with the program's name, and returns
// the code to end with. A signal is a good end.
func exitCode(err error, stderr io.Writer) int {
	if err == nil || errors.Is(err, context.Canceled) {
		return 0
	}
	var e *exitError
	if !errors.As(err, &e) {
		e = &exitError{exitFailure, err}
	}
	if e.err != nil {
		fmt.Fprintln(stderr, "sluice:", e.err)
	}
	return e.code
}
