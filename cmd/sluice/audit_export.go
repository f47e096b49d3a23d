package main

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit/export"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// exporting is what audit export is told.
type exporting struct {
	clientFlags
	queryFlags
	format, to, endpoint string
	unproven             bool
}

func newAuditExportCmd() *cobra.Command {
	var e exporting
	cmd := &cobra.Command{
		Use:   "export --format FORMAT --to DIR|s3://BUCKET/PREFIX [--since TIME] ...",
		Short: "Write records to files that others read",
		Long: `Export writes the records of a query, the oldest first: jsonl, csv for spreadsheets,
parquet, ocsf (API Activity, class 6003) or cloudevents. What was said in calls is not
exported.

Beside the records are proofs that they are in the log, and a manifest with the hash
of each file; the manifest's own hash is printed. "sluice audit verify --export" checks
all of that with the log's public key alone. An export that was broken off goes on when
it is started again with the same query: write its times as days, not as ages. With
--no-proofs, records of the models that you hold audit_read on are exported without;
proofs need it on every model.

Where records of the log can't be read any more, all others are written, the manifest
names those that are missing, and it exits with 1.

To an object store the credentials come from AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, the place from --s3-endpoint (or AWS_ENDPOINT_URL) and AWS_REGION.

` + queryHelp,
		Example: `  sluice audit export --format csv --to march --since 2026-03-01 --until 2026-04-01
  sluice audit export --format ocsf --to s3://siem/sluice --since 2026-03-01`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.check(cmd); err != nil {
				return err
			}
			return e.run(cmd)
		},
	}
	e.addServer(cmd)
	e.queryFlags.add(cmd)
	cmd.Flags().StringVar(&e.format, "format", "", "jsonl, csv, parquet, ocsf, cloudevents")
	cmd.Flags().StringVar(&e.to, "to", "", "a `folder`, or s3://BUCKET/PREFIX")
	cmd.Flags().StringVar(&e.endpoint, "s3-endpoint", "", "the object store's `URL` (default $AWS_ENDPOINT_URL, or Amazon's)")
	cmd.Flags().BoolVar(&e.unproven, "no-proofs", false, "records alone, which nobody can verify without the log")
	_ = cmd.MarkFlagDirname("to")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formatNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func formatNames() (names []string) {
	for _, f := range export.Formats {
		names = append(names, string(f))
	}
	return names
}

func (e *exporting) check(cmd *cobra.Command) error {
	switch {
	case e.format == "":
		return misused(cmd, "say which format: --format %s", strings.Join(formatNames(), "|"))
	case !export.Format(e.format).Known():
		return usage("--format %q: use one of %s%s", e.format, strings.Join(formatNames(), ", "), access.DidYouMean(e.format, formatNames()))
	case e.to == "":
		return misused(cmd, "say where to: --to DIR or s3://BUCKET/PREFIX")
	}
	return e.settle(time.Now())
}

func (e *exporting) run(cmd *cobra.Command) error {
	l, err := e.log(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	o := export.Options{Source: l, Tree: l, Format: export.Format(e.format), Query: e.query, Progress: func(p export.Part) {
		fmt.Fprintf(cmd.ErrOrStderr(), "sluice: %s: %s\n", p.Name, count(p.Records, "record"))
	}}
	if e.unproven {
		o.Tree = nil
	}
	if o.Target, err = exportTarget(e.to, e.endpoint); err != nil {
		return err
	}
	m, hash, err := export.Run(cmd.Context(), o)
	if err != nil {
		return err
	}
	var past damage
	for _, d := range m.Damaged {
		past.places = append(past.places, &pb.Damage{Replica: d.Replica, First: int64(d.First), Last: int64(d.Last)})
		past.records += int64(d.Last - d.First + 1)
	}
	past.tell(cmd.ErrOrStderr())
	fmt.Fprintf(cmd.ErrOrStderr(), "sluice: %d records in %s; keep the hash where those who can change the files can't\n", m.Records, count(len(m.Parts), "file"))
	if _, err = fmt.Fprintf(cmd.OutOrStdout(), "%s  %s\n", hash, export.ManifestName); err != nil {
		return err
	}
	if past.records > 0 {
		return fmt.Errorf("the export is not complete: %s of the log can't be read, and what matched among them is not in it", count(int(past.records), "record"))
	}
	return nil
}

const objectScheme = "s3://"

// exportTarget is a folder, or a place in an object store.
func exportTarget(to, endpoint string) (export.Target, error) {
	if !strings.HasPrefix(to, objectScheme) {
		if err := os.MkdirAll(to, 0o700); err != nil {
			return nil, fmt.Errorf("--to: %w", err)
		}
		return export.Folder(to), nil
	}
	u, err := url.Parse(to)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, usage("--to: write s3://BUCKET/PREFIX and no more; credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	key, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if os.Getenv("AWS_SESSION_TOKEN") != "" {
		return nil, usage("AWS_SESSION_TOKEN is set: temporary credentials are not supported; use a key of its own that may write to the bucket")
	}
	if key == "" || secret == "" {
		return nil, usage("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to what the object store knows you by")
	}
	region := cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	return export.NewS3(export.S3{
		Endpoint: cmp.Or(endpoint, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"), "https://s3."+cmp.Or(region, "us-east-1")+".amazonaws.com"),
		Region:   region, Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), AccessKey: key, SecretKey: secret,
	})
}
