package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/rpc/code"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// queryFlags say which records are meant. Fields that are not set are about all;
// all that are set have to hold.
type queryFlags struct {
	since, until    string
	query           audit.Query
	verdict, status string
	kinds, words    []string
}

// queryHelp is for the help of each command with these flags.
const queryHelp = `Times are ages, as in 90m, 24h or 30d, days (2026-03-01, from its beginning), or
RFC 3339; days and what is printed are in UTC. A principal is issuer#subject, or
the subject alone.`

func (q *queryFlags) add(cmd *cobra.Command) {
	q.addTimes(cmd)
	f := cmd.Flags()
	f.StringVar(&q.query.Principal, "principal", "", "by this principal: a `subject`, or issuer#subject")
	f.StringVar(&q.query.Group, "group", "", "by members of this `group`")
	f.StringVar(&q.query.Model, "model", "", "on this `model`")
	f.StringVar(&q.query.Verb, "verb", "", "of this `verb`: infer, load, audit_read …")
	f.StringVar(&q.verdict, "verdict", "", "what became of it: "+strings.Join(verdictNames(), ", "))
	f.StringVar(&q.query.Rule, "rule", "", "decided by this `rule`, as records name it")
	f.StringVar(&q.query.Guard, "guard", "", "denied or held by this `guard`")
	f.StringVar(&q.query.Approval, "approval", "", "let on by this approval request or grant, an `ID`")
	f.StringVar(&q.query.Approver, "approver", "", "that this `principal` agreed to, as issuer#subject")
	f.StringVar(&q.query.Entity, "entity", "", "in which this `entity` was masked or observed: EMAIL, CARD …")
	f.StringVar(&q.status, "status", "", "answered with this gRPC `code`: OK, PERMISSION_DENIED …")
	f.StringVar(&q.query.Session, "session", "", "of this session, an `ID`")
	f.StringVar(&q.query.Call, "call", "", "of this call, an `ID`")
	f.StringVar(&q.query.Object, "object", "", "about this `object` of an admin action: an id, as of an approval")
	f.StringVar(&q.query.Replica, "replica", "", "written by this replica of the gateway, a log's `name`")
	f.StringSliceVar(&q.kinds, "kind", nil, "of these `kinds`: "+strings.Join(kindNames(), ", "))
	complete := func(flag string, values []string) {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	complete("verb", auditVerbs())
	complete("verdict", verdictNames())
	complete("kind", kindNames())
	complete("status", statusNames())
}

func (q *queryFlags) addTimes(cmd *cobra.Command) {
	cmd.Flags().StringVar(&q.since, "since", "", "from this `time` on: 24h (ago), 2026-03-01, or RFC 3339")
	cmd.Flags().StringVar(&q.until, "until", "", "before this `time`")
}

// addWords is for commands whose query goes to the gateway as it is.
func (q *queryFlags) addWords(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&q.words, "words", nil, "with all these `words` in what was said, where that is kept; needs payload_read on all models")
}

// settle reads what was written in words; now is what ages are told from.
func (q *queryFlags) settle(now time.Time) (err error) {
	if q.query.Since, err = timeOf("--since", q.since, now); err != nil {
		return err
	}
	if q.query.Until, err = timeOf("--until", q.until, now); err != nil {
		return err
	}
	if !q.query.Since.IsZero() && !q.query.Until.IsZero() && !q.query.Since.Before(q.query.Until) {
		return usage("--since %s is not before --until %s", q.query.Since.Format(time.RFC3339), q.query.Until.Format(time.RFC3339))
	}
	if v := q.query.Verb; v != "" && !slices.Contains(auditVerbs(), v) {
		return usage("--verb %q: no such verb%s", v, access.DidYouMean(v, auditVerbs()))
	}
	if err := oneOf("--verdict", q.verdict, verdictNames()); err != nil {
		return err
	}
	if err := q.query.Verdict.UnmarshalText([]byte(q.verdict)); err != nil {
		return usage("--verdict: %w", err)
	}
	if q.status != "" {
		q.status = strings.ToUpper(q.status)
		if err := oneOf("--status", q.status, statusNames()); err != nil {
			return err
		}
		n := uint32(code.Code_value[q.status])
		q.query.Status = &n
	}
	for _, name := range q.kinds {
		var k audit.Kind
		if err := oneOf("--kind", name, kindNames()); err != nil {
			return err
		}
		if err := k.UnmarshalText([]byte(name)); err != nil {
			return usage("--kind: %w", err)
		}
		q.query.Kinds = append(q.query.Kinds, k)
	}
	return nil
}

// asks is the query as the API has it.
func (q *queryFlags) asks() *pb.RecordQuery {
	out := recordQuery(q.query)
	out.Words = q.words
	return out
}

func oneOf(flag, word string, words []string) error {
	if word == "" || slices.Contains(words, word) {
		return nil
	}
	return usage("%s %q: use one of %s%s", flag, word, strings.Join(words, ", "), access.DidYouMean(word, words))
}

func auditVerbs() (names []string) {
	for _, v := range access.Verbs() {
		names = append(names, v.String())
	}
	return names
}

func verdictNames() (names []string) {
	for v := audit.Allowed; v <= audit.Failed; v++ {
		names = append(names, v.String())
	}
	return names
}

func kindNames() (names []string) {
	for k := audit.KindCall; k <= audit.KindPrune; k++ {
		names = append(names, k.String())
	}
	return names
}

func statusNames() []string { return slices.Sorted(maps.Values(code.Code_name)) }

// timeOf reads a time: an age, a day, or all of it. An empty text is no time.
func timeOf(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	if d, err := ageOf(text); err == nil {
		return now.Add(-d).UTC(), nil
	}
	return time.Time{}, usage("%s %q: write an age such as 24h or 30d, a day such as 2026-03-01, or a time such as 2026-03-01T09:30:00Z", flag, text)
}

// ageOf is a duration that may be in days.
func ageOf(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	d, err := time.ParseDuration(text)
	if err == nil && d < 0 {
		err = fmt.Errorf("%s is in the future", text)
	}
	return d, err
}
