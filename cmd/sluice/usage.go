package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-gateway/sluice/access"
)

// misused is the error of words that cmd does not understand. It names the help
// to read instead of pouring it over the error.
func misused(cmd *cobra.Command, format string, args ...any) error {
	return usage("%w; see \"%s --help\"", fmt.Errorf(format, args...), cmd.CommandPath())
}

// noArgs is for commands that take flags only, and for those that stand for
// others: there an argument is a command that does not exist.
func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasAvailableSubCommands():
		var known []string
		for _, c := range cmd.Commands() {
			known = append(known, c.Name())
		}
		return misused(cmd, "unknown command %q for %q%s", args[0], cmd.CommandPath(), access.DidYouMean(args[0], known))
	case cmd.Flags().Lookup("config") != nil:
		return misused(cmd, "unexpected argument %q (did you mean --config %s?)", args[0], args[0])
	}
	return misused(cmd, "unexpected argument %q", args[0])
}

// flagError says what is wrong with a flag, and which one was meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return misused(cmd, "%w", err)
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
	return misused(cmd, "%w%s", err, access.DidYouMean("--"+unknown.GetSpecifiedName(), known))
}

// showHelp is what a command does that stands for others.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// addOwn adds the commands that cobra brings, with our errors: as they are, a
// word that they do not know is answered with help and success.
func addOwn(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Run, cmd.RunE = nil, helpFor
			cmd.Use, cmd.Short = "help [COMMAND]", "Show what a command does"
			cmd.Long, cmd.Example = "Help shows what a command does, as --help does.", "  sluice help policy test"
		case "completion":
			cmd.Args, cmd.RunE = noArgs, showHelp
			cmd.Short, cmd.Example = "Print a script that completes commands for a shell", "  source <(sluice completion bash)"
			for _, shell := range cmd.Commands() {
				shell.Args, shell.Example = noArgs, "  sluice completion "+shell.Name()
			}
		}
	}
}

func helpFor(cmd *cobra.Command, args []string) error {
	topic, rest, err := cmd.Root().Find(args)
	if err == nil {
		err = noArgs(topic, rest)
	}
	if err != nil {
		return err
	}
	topic.InitDefaultHelpFlag()
	return topic.Help()
}
