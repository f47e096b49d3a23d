package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// maxTail is how many records a tail begins with, at most.
const maxTail = 1000

// tailing is what audit tail is told.
type tailing struct {
	clientFlags
	queryFlags
	last   int
	follow bool
}

func newAuditTailCmd() *cobra.Command {
	var t tailing
	cmd := &cobra.Command{
		Use:   "tail [-f] [-n 10]",
		Short: "Print the newest records, and each that comes",
		Long: `Tail prints the newest records, the last of them last. With -f it goes on and prints
each record as it is written, until it is ended (Ctrl-C) or your token runs out. With
--output json each line is one record.

` + queryHelp,
		Example: `  sluice audit tail -n 20
  sluice audit tail -f --verdict denied`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.last < 0 || t.last > maxTail {
				return usage("-n %d: write 0 to %d", t.last, maxTail)
			}
			if err := t.settle(time.Now()); err != nil {
				return err
			}
			return t.run(cmd)
		},
	}
	t.clientFlags.add(cmd, jsonLines)
	t.queryFlags.add(cmd)
	t.addWords(cmd)
	cmd.Flags().BoolVarP(&t.follow, "follow", "f", false, "go on with each record that comes")
	cmd.Flags().IntVarP(&t.last, "lines", "n", 10, "how many of those that are there are printed first")
	return cmd
}

func (t *tailing) run(cmd *cobra.Command) error {
	l, err := t.log(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	if t.follow {
		return t.tail(cmd, l)
	}
	if t.last == 0 {
		return nil
	}
	found, past, _, err := l.search(t.asks(), t.last, false)
	if err != nil {
		return err
	}
	past.tell(cmd.ErrOrStderr())
	slices.Reverse(found)
	for _, r := range found {
		if err := t.print(cmd.OutOrStdout(), r); err != nil {
			return err
		}
	}
	return nil
}

func (t *tailing) tail(cmd *cobra.Command, l *remoteLog) error {
	stream, err := l.client.TailRecords(cmd.Context(), &pb.TailRecordsRequest{Query: t.asks(), Last: int32(t.last)})
	if err != nil {
		return l.explain(cmd.Context(), err)
	}
	for {
		got, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("the gateway has ended the reading; start it again")
		case err != nil:
			return l.explain(cmd.Context(), err)
		}
		if n := got.GetSkipped(); n > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "sluice: %d records were passed over\n", n)
		}
		if err := t.print(cmd.OutOrStdout(), got.GetRecord()); err != nil {
			return err
		}
	}
}

// print prints one record as a line.
func (t *tailing) print(w io.Writer, r *pb.Record) error {
	if t.output != "table" {
		return printJSON(w, false, r)
	}
	var line []string
	for _, cell := range recordCells(r) {
		if cell == "" {
			cell = "-"
		}
		line = append(line, shown(cell))
	}
	_, err := fmt.Fprintln(w, strings.Join(line, "  "))
	return err
}
