// Command masking measures the detectors of masking/detect beside Presidio's
// pattern recognizers: what they find in the held-out part of a corpus, how fast
// they are, and how long a stream's tokens are held back. bench/masking/run.sh
// builds and starts it; docs/MASKING.md has the last run.
//
// Where Presidio is not installed its columns stay empty, and that is said.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/sluice-gateway/sluice/bench/masking/corpus"
	"github.com/sluice-gateway/sluice/bench/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench-masking:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	part           corpus.Part
	seed           uint64
	docs, examples int
	only           string
	rounds, size   int
	python, script string
	commit         string
	publish, out   string
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var part string
	flags := flag.NewFlagSet("bench-masking", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&part, "part", "held-out", "`part` of the corpus: held-out, or development")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the corpus")
	flags.IntVar(&o.docs, "docs", 6000, "how many texts of it")
	flags.IntVar(&o.examples, "examples", 0, "how many examples of each kind of mistake to print")
	flags.StringVar(&o.only, "only", "", "measure accuracy or speed only")
	flags.IntVar(&o.rounds, "rounds", 7, "rounds of the measurement of speed")
	flags.IntVar(&o.size, "size", 8<<20, "`bytes` of text that a round takes")
	flags.StringVar(&o.python, "python", "", "Python that has Presidio; empty: without it")
	flags.StringVar(&o.script, "script", "bench/masking/presidio.py", "what that Python runs")
	flags.StringVar(&o.commit, "commit", "unknown", "what is measured")
	flags.StringVar(&o.publish, "publish", "", "`page` whose tables are replaced")
	flags.StringVar(&o.out, "out", "", "`folder` into which the tables are written")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch part {
	case "held-out":
		o.part = corpus.HeldOut
	case "development":
		o.part = corpus.Development
	default:
		return o, fmt.Errorf("-part %s: held-out or development", part)
	}
	if o.only != "" && o.only != "accuracy" && o.only != "speed" {
		return o, fmt.Errorf("-only %s: accuracy or speed", o.only)
	}
	if o.publish != "" && (o.part != corpus.HeldOut || o.only != "") {
		return o, errors.New("-publish: only a whole run on the held-out part is published")
	}
	if flags.NArg() > 0 || o.docs < 1 || o.rounds < 1 || o.size < chunkSize {
		return o, errors.New("no arguments, and at least one text, one round and one chunk")
	}
	return o, nil
}

// run measures, prints and publishes.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	machine := report.ThisMachine(time.Now())
	peer, err := startPresidio(ctx, o.python, o.script)
	if err != nil {
		return err
	}
	if peer == nil {
		fmt.Fprintln(stderr, "bench-masking: left out: Presidio is not installed; bench/masking/install.sh installs it")
	}
	defer peer.stop()
	tables := make(map[string]string)
	if o.only != "speed" {
		if tables["accuracy"], err = accuracy(o, peer); err != nil {
			return err
		}
	}
	if o.only != "accuracy" {
		if tables["speed"], err = speed(o, peer, machine); err != nil {
			return err
		}
	}
	for _, section := range []string{"accuracy", "speed"} {
		fmt.Fprint(stdout, tables[section])
		if o.out != "" && tables[section] != "" {
			if err := os.WriteFile(filepath.Join(o.out, "masking-"+section+".md"), []byte(tables[section]), 0o644); err != nil {
				return err
			}
		}
	}
	if o.publish == "" {
		return nil
	}
	if peer == nil {
		return errors.New("not published: a column is missing")
	}
	return publish(o.publish, tables)
}
