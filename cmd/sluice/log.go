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

// logger writes to w, at the latest when it is flushed; unknown words are errors.
func (f *logFlags) logger(w io.Writer) (log *slog.Logger, flush func(), err error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, nil, usage("--log-level %q: use debug, info, warn or error", f.level)
	}
	opts := &slog.HandlerOptions{Level: level}
	to := &lines{w: w}
	switch f.format {
	case "json":
		return slog.New(slog.NewJSONHandler(to, opts)), to.flush, nil
	case "text":
		return slog.New(slog.NewTextHandler(to, opts)), to.flush, nil
	}
	return nil, nil, usage("--log-format %q: use json or text", f.format)
}
