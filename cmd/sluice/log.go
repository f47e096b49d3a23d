package main

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"
)

// logFlags are what every serving command takes.
type logFlags struct {
	format, level string
}

func (f *logFlags) add(cmd *cobra.Command, format string) {
	cmd.Flags().StringVar(&f.format, "log-format", format, "json or text")
	cmd.Flags().StringVar(&f.level, "log-level", "info", "debug, info (calls), warn (refusals) or error")
}

// logger writes to w; unknown words are errors.
func (f *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, usage("--log-level %q: use debug, info, warn or error", f.level)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch f.format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	}
	return nil, usage("--log-format %q: use json or text", f.format)
}
