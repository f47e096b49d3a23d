package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// everyCommand is a table of the program's commands by their full name.
func everyCommand(t *testing.T) map[string]*cobra.Command {
	t.Helper()
	all := map[string]*cobra.Command{}
	var add func(*cobra.Command)
	add = func(cmd *cobra.Command) {
		all[cmd.CommandPath()] = cmd
		for _, c := range cmd.Commands() {
			add(c)
		}
	}
	add(newRootCmd())
	if len(all) < 12 {
		t.Fatalf("there are %d commands only", len(all))
	}
	return all
}

func TestEveryCommandSaysWhatItIsFor(t *testing.T) {
	for name, cmd := range everyCommand(t) {
		t.Run(name, func(t *testing.T) {
			switch {
			case cmd.Short == "" || strings.HasSuffix(cmd.Short, "."):
				t.Errorf("short help %q: want a line without a full stop", cmd.Short)
			case cmd.Long == "":
				t.Error("no help")
			case !strings.Contains(cmd.Example, "sluice"):
				t.Errorf("no example in %q", cmd.Example)
			case cmd.RunE == nil:
				t.Error("does nothing that could fail, so a word that it does not know would be a success")
			}
		})
	}
}

// TestExamplesAreTrue: each line of an example that runs the program is one
// that the program takes.
func TestExamplesAreTrue(t *testing.T) {
	for name, cmd := range everyCommand(t) {
		for _, line := range strings.Split(cmd.Example, "\n") {
			words := inWords(line)
			if len(words) == 0 || words[0] != "sluice" {
				continue
			}
			t.Run(name+"/"+strings.Join(words, " "), func(t *testing.T) {
				if i := strings.IndexAny(line, "<>|"); i >= 0 {
					words = inWords(line[:i])
				}
				found, rest, err := newRootCmd().Find(words[1:])
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(found.CommandPath()+" ", name+" ") && name != "sluice help" {
					t.Errorf("it is an example of %s", found.CommandPath())
				}
				if err := found.ParseFlags(rest); err != nil {
					t.Fatal(err)
				}
				if err := found.ValidateArgs(found.Flags().Args()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// inWords splits a line as a shell does, as far as examples go.
func inWords(line string) (words []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}
