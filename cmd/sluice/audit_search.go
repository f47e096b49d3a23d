package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sluice-gateway/sluice/audit"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// jsonLines is the format of one record a line.
const jsonLines = "jsonl"

// searching is what audit search is told.
type searching struct {
	clientFlags
	queryFlags
	limit  int
	oldest bool
}

func newAuditSearchCmd() *cobra.Command {
	var s searching
	cmd := &cobra.Command{
		Use:   "search [--since TIME] [--principal ID] [--model MODEL] [--verb VERB] ...",
		Short: "Find records of what was done",
		Long: `Search finds records, the newest first: every call and refusal, each request of a
stream, failed logins, what people did to the gateway. All that is asked for has to
hold. It needs the verb audit_read, and shows the records of the models that you
hold it on. Searches are recorded too.

` + queryHelp,
		Example: `  sluice audit search --since 24h --verdict denied
  sluice audit search --verb load --model llama --since 2026-03-01 --until 2026-04-01
  sluice audit search --principal bob --words "invoice,overdue" --output jsonl`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.limit < 1 || s.limit > maxListed {
				return usage("--limit %d: write 1 to %d; \"sluice audit export\" has no limit", s.limit, maxListed)
			}
			if err := s.settle(time.Now()); err != nil {
				return err
			}
			return s.run(cmd)
		},
	}
	s.clientFlags.add(cmd, jsonLines)
	s.queryFlags.add(cmd)
	s.addWords(cmd)
	cmd.Flags().IntVarP(&s.limit, "limit", "n", 100, "how many records at most")
	cmd.Flags().BoolVar(&s.oldest, "oldest", false, "the oldest first")
	return cmd
}

func (s *searching) run(cmd *cobra.Command) error {
	l, err := s.log(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	found, past, more, err := l.search(s.asks(), s.limit, s.oldest)
	if err != nil {
		return err
	}
	if err := writeRecords(cmd.OutOrStdout(), s.output, found); err != nil {
		return err
	}
	past.tell(cmd.ErrOrStderr())
	if more {
		which := map[bool]string{true: "oldest", false: "newest"}[s.oldest]
		fmt.Fprintf(cmd.ErrOrStderr(), "sluice: there are more than these %d, which are the %s; ask for less time, or for more with --limit\n", len(found), which)
	}
	return nil
}

// search gathers records, and what could not be read; more tells that there are others.
func (l *remoteLog) search(q *pb.RecordQuery, limit int, oldest bool) (found []*pb.Record, past damage, more bool, err error) {
	asks := &pb.SearchRecordsRequest{Query: q, OldestFirst: oldest}
	for {
		asks.PageSize = int32(min(limit-len(found)+1, pageSize)) // one more tells whether there is
		page, err := ask(l.cmd, l.remote, l.client.SearchRecords, asks)
		if err != nil {
			return nil, past, false, err
		}
		past.places, past.records = append(past.places, page.GetDamaged()...), past.records+page.GetDamagedRecords()
		found = append(found, page.GetRecords()...)
		if len(found) > limit {
			return found[:limit], past, true, nil
		}
		if page.GetNextPageToken() == "" || page.GetNextPageToken() == asks.GetPageToken() {
			return found, past, false, nil
		}
		asks.PageToken = page.GetNextPageToken()
	}
}

// damage is what an answer was to be made of and can't be read.
type damage struct {
	places  []*pb.Damage
	records int64
}

// damageOf is what a reading went past.
func damageOf(d *audit.Damage) (out damage) {
	for i := range d.Places {
		p := &d.Places[i]
		out.places = append(out.places, &pb.Damage{Replica: p.Replica, First: int64(p.First), Last: int64(p.Last)})
	}
	out.records = int64(d.Records)
	return out
}

// maxPlaces is how many places of damage are told.
const maxPlaces = 10

// tell says which records can't be read.
func (d damage) tell(w io.Writer) {
	if d.records == 0 {
		return
	}
	var places []string
	for _, p := range d.places[:min(len(d.places), maxPlaces)] {
		places = append(places, fmt.Sprintf("%d to %d of %s", p.GetFirst(), p.GetLast(), shown(p.GetReplica())))
	}
	if len(d.places) > maxPlaces {
		places = append(places, "…")
	}
	fmt.Fprintf(w, "sluice: %s can't be read any more and may be missing here: %s; \"sluice audit verify\" says more\n", count(int(d.records), "record"), strings.Join(places, ", "))
}

// writeRecords prints records in a format.
func writeRecords(w io.Writer, format string, all []*pb.Record) error {
	switch format {
	case "json":
		return printJSON(w, true, all...)
	case jsonLines:
		for _, r := range all {
			if err := printJSON(w, false, r); err != nil {
				return err
			}
		}
		return nil
	}
	t := newTable("ID", "TIME", "WHO", "DID", "MODEL", "VERDICT", "STATUS", "WHY", "MASKED")
	for _, r := range all {
		t.add(recordCells(r)...)
	}
	return t.write(w, "no records")
}

// recordCells is a record in a line of a table.
func recordCells(r *pb.Record) []string {
	f := fieldsOf(r.GetFields().GetFields())
	did := cmp.Or(f.text("sluice.verb"), f.text("rpc.method"), r.GetKind())
	switch {
	case r.GetKind() == audit.KindIntent.String():
		did += " (intent)"
	case r.GetKind() == audit.KindCall.String() && f.text("rpc.method") == "ModelStreamInfer":
		did += " (stream)" // its requests have records of their own
	}
	status := ""
	if f.text("sluice.verdict") != "" {
		status = code.Code_name[int32(f["rpc.grpc.status_code"].GetNumberValue())]
	}
	return []string{
		r.GetId(), r.GetTime().AsTime().Format("2006-01-02T15:04:05.000Z"), cmp.Or(f.text("user.name"), f.text("user.id")), did,
		f.text("gen_ai.request.model"), f.text("sluice.verdict"), status, why(f), f.counts("sluice.masked"),
	}
}

// fieldsOf are a record's fields by their names.
type fieldsOf map[string]*structpb.Value

func (f fieldsOf) text(name string) string { return f[name].GetStringValue() }

// counts shows how many of each entity there are.
func (f fieldsOf) counts(name string) (text string) {
	all := f[name].GetStructValue().GetFields()
	var names []string
	for entity := range all {
		names = append(names, entity)
	}
	slices.Sort(names)
	for i, entity := range names {
		if i > 0 {
			text += " "
		}
		text += fmt.Sprintf("%s:%d", entity, int64(all[entity].GetNumberValue()))
	}
	return text
}

// why is what decided a call, in few words: people, a guard, a refusal's reason, a
// rule; of what is no call, what it was about.
func why(f fieldsOf) string {
	a := f["sluice.approval"].GetStructValue().GetFields()
	var approvers []string
	for _, who := range a["approvers"].GetListValue().GetValues() {
		approvers = append(approvers, who.GetStringValue())
	}
	switch {
	case a["break_glass"].GetBoolValue():
		return "break-glass " + a["grant"].GetStringValue()
	case len(approvers) > 0:
		return fmt.Sprintf("approved by %s (%s)", joined(approvers), cmp.Or(a["request"].GetStringValue(), a["grant"].GetStringValue()))
	case f.text("sluice.guard") != "":
		return "guard " + f.text("sluice.guard")
	case f.text("error.type") != "":
		return f.text("error.type")
	}
	return cmp.Or(f.text("sluice.object"), a["request"].GetStringValue(), a["grant"].GetStringValue(), f.text("sluice.rule"), f.text("sluice.detail"))
}
