package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/audit/replay"
)

const defaultDoor = "127.0.0.1:8001"

// again is what audit replay --against is told.
type again struct {
	against   string
	door      string
	diff      bool
	tolerance float64
	timeout   time.Duration
}

func (a *again) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.against, "against", "", "send the requests again, to this `MODEL[:VERSION]`")
	f.BoolVar(&a.diff, "diff", false, "print where answers differ")
	f.Float64Var(&a.tolerance, "tolerance", 0, "how far two numbers may be apart, absolutely or relatively, and be the same")
	f.StringVar(&a.door, "grpc", defaultDoor, "the gateway's gRPC door, where the token is shown too, as `HOST:PORT`; TLS as for --server, a URL says otherwise")
	f.DurationVar(&a.timeout, "timeout", time.Minute, "how long one request may take")
}

func (a *again) check(cmd *cobra.Command) error {
	switch {
	case a.against == "" && (a.diff || a.tolerance != 0 || cmd.Flags().Changed("grpc")):
		return misused(cmd, "--diff, --tolerance and --grpc go with --against")
	case a.tolerance < 0 || a.timeout <= 0:
		return misused(cmd, "--tolerance is not less than 0, and --timeout more")
	}
	return nil
}

// dial reaches the door with the token that is kept for the admin API's server.
func (a *again) dial(f *clientFlags, server string) (*remote, error) {
	at := *f
	if at.server = a.door; !strings.Contains(a.door, "://") {
		scheme := "https://"
		if host, _, err := net.SplitHostPort(a.door); err == nil && loopback(host) && strings.HasPrefix(server, "http://") || f.plaintext {
			scheme = "http://"
		}
		at.server = scheme + a.door
	}
	who := &bearer{fixed: strings.TrimSpace(os.Getenv("SLUICE_TOKEN"))}
	r, err := at.dialAs(who)
	if err != nil {
		return nil, fmt.Errorf("--grpc: %w", err)
	}
	who.server = server
	return r, nil
}

// compared is one request's result, as JSON.
type compared struct {
	ID            string              `json:"id"`
	Model         string              `json:"model"`
	Result        string              `json:"result"` // same, different, failed, skipped
	Detail        string              `json:"detail,omitempty"`
	RequestMasked bool                `json:"requestMasked,omitempty"`
	AnswersMasked bool                `json:"answersMasked,omitempty"`
	Differences   []replay.Difference `json:"differences,omitempty"`
	Took          string              `json:"took,omitempty"`
}

func (a *again) run(cmd *cobra.Command, f *clientFlags, server string, s *replay.Session) error {
	r, err := a.dial(f, server)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	o := replay.Options{Model: a.against, Absolute: a.tolerance, Relative: a.tolerance, Timeout: a.timeout}
	if i := strings.LastIndexByte(a.against, ':'); i > 0 {
		o.Model, o.Version = a.against[:i], a.against[i+1:]
	}
	all := []compared{}
	sent, same := 0, 0
	for result := range replay.Again(cmd.Context(), s, replay.NewDoor(r), o) {
		c := a.compared(&result)
		if all = append(all, c); c.Result != "skipped" {
			sent++
		}
		if c.Result == "same" {
			same++
		}
		if f.output != "json" {
			if err := a.print(cmd.OutOrStdout(), &c); err != nil {
				return err
			}
		}
	}
	if err := cmd.Context().Err(); err != nil {
		return err
	}
	if f.output == "json" {
		if err := printValue(cmd.OutOrStdout(), all); err != nil {
			return err
		}
	}
	switch {
	case sent == 0:
		return errors.New("nothing could be sent again: requests are kept where audit.payloads says so")
	case same < sent:
		return fmt.Errorf("%d of %s answered otherwise", sent-same, count(sent, "request"))
	}
	if f.output != "json" {
		fmt.Fprintf(cmd.OutOrStdout(), "%s answered as before\n", count(sent, "request"))
	}
	return nil
}

func (a *again) compared(r *replay.Result) compared {
	record := r.Call.Record
	c := compared{
		ID: fmt.Sprintf("%s/%d", record.Replica, record.Seq), Model: record.Model, RequestMasked: r.Masked, AnswersMasked: r.MaskedAnswers,
		Differences: r.Differences, Took: r.Took.Round(time.Microsecond).String(),
	}
	switch {
	case r.Skipped != "":
		c.Result, c.Detail, c.Took = "skipped", r.Skipped, ""
	case r.Err != nil:
		c.Result, c.Detail = "failed", r.Err.Error()
		if st, is := status.FromError(r.Err); is {
			c.Detail = fmt.Sprintf("%s: %s", st.Code(), st.Message())
		}
	case r.Same():
		c.Result = "same"
	default:
		c.Result = "different"
	}
	return c
}

func (a *again) print(w io.Writer, c *compared) error {
	var notes []string
	if c.Detail != "" {
		notes = append(notes, c.Detail)
	}
	if c.Took != "" {
		notes = append(notes, "took "+c.Took)
	}
	if c.Result == "different" || c.Result == "failed" {
		if c.RequestMasked {
			notes = append(notes, "the request that is kept is masked")
		}
		if c.AnswersMasked {
			notes = append(notes, "the answers that are kept are masked")
		}
	}
	if _, err := fmt.Fprintf(w, "%s  %s  %s (%s)\n", shown(c.ID), shown(c.Model), c.Result, shown(strings.Join(notes, "; "))); err != nil || !a.diff {
		return err
	}
	for _, d := range c.Differences {
		if _, err := fmt.Fprintln(w, d); err != nil { // which is plain
			return err
		}
	}
	return nil
}
