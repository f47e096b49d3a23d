package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/replay"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newAuditShowCmd() *cobra.Command {
	var f clientFlags
	payload := false
	cmd := &cobra.Command{
		Use:   "show ID [--payload]",
		Short: "Show one record, and what was said",
		Long: `Show prints all of one record, by its id as "sluice audit search" prints it. With
--payload what was said follows, if it is kept, as it is kept: masked. That needs
the verb payload_read on the record's model, and is recorded.`,
		Example: `  sluice audit show sluice/7f3a9c0d1e2b4a56/1503 --payload`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misused(cmd, "say which record, by its id")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := f.log(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = l.Close() }()
			return l.show(args[0], payload, f.output)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&payload, "payload", false, "what was said, too")
	return cmd
}

func (l *remoteLog) show(id string, payload bool, output string) error {
	got, err := ask(l.cmd, l.remote, l.client.GetRecord, &pb.GetRecordRequest{Id: id})
	if err != nil {
		return err
	}
	var said *pb.GetPayloadResponse
	if payload {
		if said, err = ask(l.cmd, l.remote, l.client.GetPayload, &pb.GetPayloadRequest{Id: id}); err != nil {
			return err
		}
	}
	out := l.cmd.OutOrStdout()
	if output == "json" {
		if said == nil {
			return printJSON(out, false, got.GetRecord())
		}
		return printBoth(out, got.GetRecord(), said)
	}
	record, err := audit.Decode(got.GetRecord().GetEncoding())
	if err != nil {
		return l.errOdd("a record that can't be read")
	}
	if err := writeRecord(out, got.GetRecord().GetId(), record); err != nil || said == nil {
		return err
	}
	if said.GetAbsent() != "" {
		_, err := fmt.Fprintf(out, "\nwhat was said is not there: %s\n", shown(said.GetAbsent()))
		return err
	}
	return writeSaid(l.cmd, record, said)
}

// printBoth prints a record and what was said as one JSON value.
func printBoth(w io.Writer, record, said proto.Message) error {
	both := make(map[string]json.RawMessage)
	for name, m := range map[string]proto.Message{"record": record, "payload": said} {
		text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
		if err != nil {
			return err
		}
		both[name] = text
	}
	return printValue(w, both)
}

// writeRecord prints a record's fields in the order of their declaration, which goes
// from who to what and why.
func writeRecord(w io.Writer, id string, r *audit.Record) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "id\t%s\n", shown(id))
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil { // the brace
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%s\n", name, fieldText(fmt.Sprint(name), value))
	}
	return t.Flush()
}

// fieldText is a field as a person reads it.
func fieldText(name string, value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return shown(text)
	}
	var ns int64
	if strings.HasSuffix(name, "_ns") && json.Unmarshal(value, &ns) == nil {
		return time.Duration(ns).String()
	}
	return asciiControls(string(value))
}

// writeSaid prints what was said as a replay shows it, without its timing.
func writeSaid(cmd *cobra.Command, r *audit.Record, m *pb.GetPayloadResponse) error {
	content := contentOf(m)
	s := &replay.Session{ID: r.Session, Begun: r.Time, Calls: []replay.Call{{Record: r, Content: content}}}
	for _, f := range content.Frames {
		s.Events = append(s.Events, replay.Event{At: f.At, Frame: f})
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout()); err != nil {
		return err
	}
	p := replay.Player{Out: cmd.OutOrStdout(), Speed: -1}
	if err := p.Play(cmd.Context(), s); err != nil || m.GetComplete() {
		return err
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), "not all of it is here: something was left out for its size, or the call had no end")
	return err
}

func joined(all []string) string { return strings.Join(all, ", ") }
