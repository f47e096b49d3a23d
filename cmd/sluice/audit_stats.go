package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newAuditStatsCmd() *cobra.Command {
	var f clientFlags
	var q queryFlags
	cmd := &cobra.Command{
		Use:   "stats [--since TIME] ...",
		Short: "Count records, by verdict, principal, model, verb and entity",
		Long: `Stats says how much the log holds, and counts the records of a query: the ones first
that are most. By kind all records are counted; by all else what was done once: a call's
intent is not another call, and a stream is counted with its requests. Who does not hold audit_read on every model is told of his models'.

` + queryHelp,
		Example: `  sluice audit stats --since 7d --verdict denied`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := q.settle(time.Now()); err != nil {
				return err
			}
			l, err := f.log(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = l.Close() }()
			got, err := ask(cmd, l.remote, l.client.GetStats, &pb.GetStatsRequest{Query: q.asks()})
			if err != nil {
				return err
			}
			damage{got.GetDamaged(), got.GetDamagedRecords()}.tell(cmd.ErrOrStderr())
			if f.output == "json" {
				return printJSON(cmd.OutOrStdout(), false, got)
			}
			return writeStats(cmd.OutOrStdout(), got)
		},
	}
	f.add(cmd)
	q.add(cmd)
	q.addWords(cmd)
	return cmd
}

func writeStats(w io.Writer, s *pb.GetStatsResponse) error {
	if s.GetRecords() > 0 {
		fmt.Fprintf(w, "the log holds %d records and %d payloads in %s, from %s to %s\n",
			s.GetRecords(), s.GetPayloads(), size(s.GetBytes()), s.GetOldest().AsTime().Format(time.RFC3339), s.GetNewest().AsTime().Format(time.RFC3339))
	}
	counted := fmt.Sprintf("%d records match", s.GetCounted())
	if !s.GetComplete() {
		counted = fmt.Sprintf("of the newest records %d match; there are older ones that were not counted: ask for less time", s.GetCounted())
	}
	if _, err := fmt.Fprintln(w, counted); err != nil {
		return err
	}
	for _, by := range []struct {
		name string
		all  []*pb.Count
	}{{"KIND", s.GetByKind()}, {"VERDICT", s.GetByVerdict()}, {"PRINCIPAL", s.GetByPrincipal()}, {"MODEL", s.GetByModel()}, {"VERB", s.GetByVerb()}, {"MASKED", s.GetByEntity()}} {
		if len(by.all) == 0 {
			continue
		}
		fmt.Fprintln(w)
		t := newTable(by.name, "COUNT")
		for _, c := range by.all {
			t.add(c.GetName(), strconv.FormatInt(c.GetN(), 10))
		}
		if err := t.write(w, ""); err != nil {
			return err
		}
	}
	return nil
}

func newAuditLookupCmd() *cobra.Command {
	var f clientFlags
	var q queryFlags
	cmd := &cobra.Command{
		Use:   "lookup [--since TIME] < VALUE",
		Short: "Say in which answers a value was masked",
		Long: `Lookup reads a value, such as a card's number, from standard input and finds the
records in which it was masked. Neither the value nor the question for it is kept:
records have keyed hashes of what was masked in them, where audit.look_up_key says so.
It needs payload_read on every model.

The value is never an argument: those can be seen by everybody on this machine, and
stay in the shell's history. A terminal asks for it, unseen.

` + queryHelp,
		Example: `  sluice audit lookup --since 30d < card.txt`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return misused(cmd, "the value comes from standard input: an argument is seen by everybody on this machine, and stays in the shell's history; it should be taken out there")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := q.settle(time.Now()); err != nil {
				return err
			}
			v := valueFlags{stdin: true}
			value, err := v.read(cmd)
			if err != nil {
				return err
			}
			l, err := f.log(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = l.Close() }()
			asks := recordQuery(q.query)
			got, err := ask(cmd, l.remote, l.client.LookUpValue, &pb.LookUpValueRequest{Value: string(value), Since: asks.GetSince(), Until: asks.GetUntil()})
			if err != nil {
				return err
			}
			damage{got.GetDamaged(), got.GetDamagedRecords()}.tell(cmd.ErrOrStderr())
			return writeRecords(cmd.OutOrStdout(), f.output, got.GetRecords())
		},
	}
	f.add(cmd, jsonLines)
	q.addTimes(cmd)
	return cmd
}
