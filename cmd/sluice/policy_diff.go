package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/policy/guard"
)

// maxRecordedLine bounds one line of recorded calls, in bytes.
const maxRecordedLine = 16 << 20

func newPolicyDiffCmd() *cobra.Command {
	var d diffing
	cmd := &cobra.Command{
		Use:   "diff OLD NEW (--requests FILE | --audit [--since TIME] ...)",
		Short: "Say which recorded calls another policy would decide otherwise",
		Long: `Diff decides each recorded call by two policies, roles and guards, and prints those
whose verdict differs: allowed, denied or held (people have to agree), each with
the rule that says so. A policy of several files is written a.yaml,b.yaml.

The calls are JSON, one object a line (- is standard input); what a line does not
say was not sent:

  {"principal": {"issuer": "https://issuer", "subject": "bob", "kind": "user", "groups": ["ml-users"]},
   "verb": "infer", "model": "llama", "time": "2026-05-04T10:00:00Z", "client": "10.1.2.3",
   "parameters": {"max_tokens": 100},
   "inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [1], "text": ["hello"]}]}

Further keys are version, metadata (keys), outputs, size (bytes), for a load config
and files (lengths), of an input shared_memory. What an unload takes along is not
known, so only the model that it names is asked about.

With --audit the calls are those that a running gateway has recorded, all or those of
a query: it needs audit_read, and payload_read for guards that look at texts. Texts
are known where they are kept, and masked as they are kept.

It exits with 0 if nothing changes, with 1 if a verdict does, with 2 for a line that
can't be read, and with 3 if a policy has problems.`,
		Example: `  sluice policy diff policy.yaml new.yaml --requests calls.jsonl
  sluice policy diff a.yaml,b.yaml a.yaml,c.yaml --requests - --output json < calls.jsonl
  sluice policy diff policy.yaml new.yaml --audit --since 30d`,
		Args: twoPolicies,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			return d.check(cmd)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.run(cmd, args)
		},
	}
	cmd.Flags().StringVar(&d.requests, "requests", "", "a `file` of calls, one JSON object a line")
	cmd.Flags().StringVarP(&d.output, "output", "o", "table", "table, json")
	cmd.Flags().BoolVar(&d.audit, "audit", false, "the calls that a gateway has recorded; what follows says of which gateway, and which calls")
	d.addServer(cmd)
	d.queryFlags.add(cmd)
	configFlag(cmd, &d.configPath)
	return cmd
}

// diffing is what policy diff is told.
type diffing struct {
	clientFlags
	queryFlags
	configPath, requests string
	audit                bool
}

func (d *diffing) check(cmd *cobra.Command) error {
	if d.output != "table" && d.output != "json" {
		return usage("--output %q: use one of table, json%s", d.output, access.DidYouMean(d.output, []string{"table", "json"}))
	}
	switch {
	case d.requests == "" && !d.audit:
		return usage("say which calls to decide: --requests FILE, or --audit for those that a gateway has recorded")
	case d.requests != "" && d.audit:
		return usage("--requests and --audit exclude each other")
	case d.audit:
		return d.settle(time.Now())
	}
	for _, flag := range []string{"server", "since", "until", "principal", "group", "model", "verb", "verdict", "kind", "session"} {
		if cmd.Flags().Changed(flag) {
			return usage("--%s says which recorded calls are meant: it goes with --audit", flag)
		}
	}
	return nil
}

func (d *diffing) run(cmd *cobra.Command, args []string) error {
	sources, err := sourcesOf(cmd, d.configPath)
	if err != nil {
		return err
	}
	var both [2]*config.Rules
	for i, files := range args {
		if both[i], err = compiledRules(files, sources); err != nil {
			return err
		}
	}
	by := &differ{before: both[0], after: both[1], out: bufio.NewWriter(cmd.OutOrStdout()), json: d.output == "json"}
	if d.audit {
		l, err := d.log(cmd)
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		next, stop := auditCalls(cmd.Context(), l, d.query)
		defer stop()
		return by.run(next, cmd.ErrOrStderr())
	}
	in, name, err := openRequests(cmd, d.requests)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	return by.run(recordedCalls(in, name), cmd.ErrOrStderr())
}

func twoPolicies(_ *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usage("say which policies to compare: OLD NEW")
	}
	return nil
}

// sourcesOf are the identity sources of the configuration, where one is named.
func sourcesOf(cmd *cobra.Command, path string) ([]string, error) {
	if !cmd.Flags().Changed("config") {
		return nil, nil
	}
	var c config.Config
	if err := decodeFile(path, &c); err != nil {
		return nil, err
	}
	return c.Identity.Sources(), nil
}

// compiledRules are those of files separated by commas.
func compiledRules(files string, sources []string) (*config.Rules, error) {
	paths := strings.Split(files, ",")
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			return nil, &exitError{exitUsage, err}
		}
	}
	rules, problems := config.ReadRules(paths, config.RulesOptions{Sources: sources, Analyzer: config.Presidio})
	return rules, notCompiled(problems)
}

func openRequests(cmd *cobra.Command, path string) (io.ReadCloser, string, error) {
	if path == "-" {
		return io.NopCloser(cmd.InOrStdin()), "standard input", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, "", &exitError{exitUsage, err}
	}
	return f, path, nil
}

// calls brings one recorded call after the other, and how to name its place;
// io.EOF after the last.
type calls func() (call *guard.Recorded, place string, err error)

// recordedCalls reads JSON lines.
func recordedCalls(from io.Reader, name string) calls {
	r := bufio.NewReaderSize(from, 64<<10)
	number := 0
	return func() (*guard.Recorded, string, error) {
		for {
			number++
			place := fmt.Sprintf("%s:%d", name, number)
			line, err := readLine(r)
			if len(bytes.TrimSpace(line)) == 0 && err == nil {
				continue
			}
			if len(line) == 0 && errors.Is(err, io.EOF) {
				return nil, place, io.EOF
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, place, err
			}
			call, err := decodeCall(line)
			return call, place, err
		}
	}
}

// decodeCall reads one recorded call, which is all of data.
func decodeCall(data []byte) (*guard.Recorded, error) {
	call := new(guard.Recorded)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(call); err != nil {
		return nil, fmt.Errorf("is no recorded call: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one object")
	}
	return call, nil
}

// readLine reads up to the end of a line, which is not part of it. io.EOF comes
// with the last line, which may be empty.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxRecordedLine {
			return nil, fmt.Errorf("is longer than %d MiB", maxRecordedLine>>20)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSuffix(line, []byte{'\n'}), err
		}
	}
}

// differ compares two policies call by call; it keeps none of them.
type differ struct {
	before, after *config.Rules
	out           *bufio.Writer
	json          bool
	all, changed  int
}

// change is a call whose verdict differs, as it is printed.
type change struct {
	Place     string  `json:"place"`
	Principal string  `json:"principal"`
	Verb      string  `json:"verb"`
	Model     string  `json:"model,omitempty"`
	Old       verdict `json:"old"`
	New       verdict `json:"new"`
}

// verdict is allowed, denied or held, and which rule says so.
type verdict struct {
	Verdict string `json:"verdict"`
	Rule    string `json:"rule"`
}

func (v verdict) String() string { return v.Verdict + " (" + v.Rule + ")" }

func (d *differ) run(next calls, talk io.Writer) error {
	for {
		call, place, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = d.decide(call, place)
		}
		if err != nil {
			return errors.Join(d.out.Flush(), &exitError{exitUsage, fmt.Errorf("%s: %w", place, err)})
		}
	}
	if err := d.out.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(talk, "sluice: %d of %s would be decided otherwise\n", d.changed, count(d.all, "call"))
	if d.changed > 0 {
		return &exitError{code: exitFailure}
	}
	return nil
}

// decide prints the call if the two policies differ about it.
func (d *differ) decide(call *guard.Recorded, place string) error {
	r, err := call.Request()
	if err != nil {
		return err
	}
	d.all++
	c := change{Place: place, Principal: r.Principal.ID(), Verb: r.Verb.String(), Model: call.Model, Old: judge(d.before, r), New: judge(d.after, r)}
	if c.Old.Verdict == c.New.Verdict {
		return nil
	}
	d.changed++
	if d.json {
		return json.NewEncoder(d.out).Encode(c)
	}
	on := ""
	if c.Model != "" {
		on = " " + access.Quote(c.Model)
	}
	_, err = fmt.Fprintf(d.out, "%s: %s %s%s: %s -> %s\n", c.Place, access.Quote(c.Principal), c.Verb, on, c.Old, c.New)
	return err
}

// judge decides a call as the gateway would.
func judge(rules *config.Rules, r *guard.Request) verdict {
	v := rules.Judge(r)
	switch {
	case v.Denied():
		return verdict{"denied", v.Rule()}
	case v.Held():
		return verdict{"held", v.Rule()}
	}
	return verdict{"allowed", v.Rule()}
}
