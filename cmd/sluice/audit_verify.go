package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/export"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/server"
)

// verifying is what audit verify is told.
type verifying struct {
	clientFlags
	config, export, key, published string
}

func newAuditVerifyCmd() *cobra.Command {
	var v verifying
	cmd := &cobra.Command{
		Use:   "verify [--config FILE | --export DIR] [--key FILE] [--checkpoints FILE]",
		Short: "Tell whether the audit log was changed",
		Long: `Verify compares every record with its hash, every hash with what was signed, and
every signature with the public key. It exits with 1 if anything does not fit, and
says which records it is about: edited, dropped, reordered, truncated, forked.

It asks a running gateway for records, hashes and checkpoints, and verifies them here;
that needs audit_read on every model. With --config it reads the database of that
configuration instead, and with --export the files of an export: then it needs --key,
and neither a gateway nor a network.

Without --key it believes the key that the gateway or its configuration says, which
whoever runs the gateway could have replaced along with the log. With --checkpoints, a
file of published checkpoints, the log has to be the one that they were made of.`,
		Example: `  sluice audit verify --key audit.pub --checkpoints published.txt
  sluice audit verify --config sluice.yaml
  sluice audit verify --export march --key audit.pub`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case v.config != "" && v.export != "":
				return misused(cmd, "--config and --export exclude each other")
			case v.export != "" && v.key == "":
				return misused(cmd, "an export is verified with a key from elsewhere: --key FILE; \"sluice audit key\" printed it once")
			case v.export != "" && v.published != "":
				return misused(cmd, "--checkpoints is about a log, and an export holds its own")
			}
			return noArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case v.export != "":
				return v.exported(cmd)
			case v.config != "":
				return v.database(cmd)
			}
			return v.gateway(cmd)
		},
	}
	v.add(cmd)
	cmd.Flags().StringVarP(&v.config, "config", "c", "", "read the database of this configuration `file`, and ask no gateway")
	cmd.Flags().StringVar(&v.export, "export", "", "verify an export in this `folder` (or s3://BUCKET/PREFIX)")
	cmd.Flags().StringVar(&v.key, "key", "", "a `file` with the public key of the log; several are one a line")
	cmd.Flags().StringVar(&v.published, "checkpoints", "", "a `file` of checkpoints that were published")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	_ = cmd.MarkFlagDirname("export")
	return cmd
}

// gateway verifies what a running gateway gives.
func (v *verifying) gateway(cmd *cobra.Command) error {
	keys, err := keysIn(v.key)
	if err != nil {
		return err
	}
	l, err := v.log(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	if keys == nil {
		m, err := l.logs()
		if err != nil {
			return err
		}
		keys = m.GetPublicKeys()
		fmt.Fprintln(cmd.ErrOrStderr(), "sluice: the key is what the gateway says; with --key, one that you have kept, its operator could not replace it")
	}
	return v.verify(cmd, l, keys)
}

// database verifies what is on disk. A gateway may go on writing to it meanwhile.
func (v *verifying) database(cmd *cobra.Command) error {
	c, err := auditConfig(cmd, v.config)
	if err != nil {
		return err
	}
	keys, err := keysIn(v.key)
	if err != nil {
		return err
	}
	remembered, err := merkle.Remembered(c.LogKey()) // before the log, which may grow meanwhile
	if err != nil {
		return err
	}
	l, own, err := server.OpenAuditLog(cmd.Context(), c, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	if keys == nil {
		keys = own
	}
	if remembered == nil {
		return v.verify(cmd, l, keys)
	}
	return v.verify(cmd, l, keys, remembered)
}

// verify verifies a log, which has to be the one that the checkpoints are of, too.
func (v *verifying) verify(cmd *cobra.Command, e audit.Evidence, keys []string, checkpoints ...[]byte) error {
	if len(keys) == 0 {
		return errors.New("no public key of the log is known; name the file of one with --key")
	}
	trusted, err := checkpointsIn(v.published)
	if err != nil {
		return err
	}
	report, err := audit.Verify(cmd.Context(), e, audit.VerifyOptions{Keys: keys, Trusted: append(checkpoints, trusted...)})
	if err != nil {
		return fmt.Errorf("the audit log can't be verified: %w", err)
	}
	return printVerified(cmd.OutOrStdout(), report, v.output)
}

// exported verifies an export.
func (v *verifying) exported(cmd *cobra.Command) error {
	keys, err := keysIn(v.key)
	if err != nil {
		return err
	}
	var t export.Target = export.Folder(v.export)
	if strings.HasPrefix(v.export, objectScheme) {
		if t, err = exportTarget(v.export, ""); err != nil {
			return err
		}
	}
	report, err := export.Verify(cmd.Context(), t, keys...)
	if err != nil {
		return err
	}
	return printExported(cmd.OutOrStdout(), report, v.output)
}

func printExported(w io.Writer, r *export.Report, output string) error {
	if output == "json" {
		if err := printValue(w, r); err != nil {
			return err
		}
	} else {
		for _, l := range r.Logs {
			fmt.Fprintf(w, "%s: %d records were signed at %s\n", shown(l.Origin), l.Size, l.Time.UTC().Format(time.RFC3339))
		}
		fmt.Fprintf(w, "%d records proven, in %s; the manifest is %s\n", r.Records, count(r.Parts, "file"), r.Manifest)
		for _, p := range r.Problems {
			fmt.Fprintln(w, shown(p))
		}
	}
	if !r.OK() {
		return fmt.Errorf("the export is not what was signed: %s", count(len(r.Problems), "problem"))
	}
	if output != "json" {
		fmt.Fprintln(w, "OK")
	}
	return nil
}

func trimmed(text []byte) []byte { return bytes.TrimSpace(text) }

// keysIn reads public keys, one a line; nil where no file is named.
func keysIn(file string) (keys []string, err error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			keys = append(keys, line)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("--key: %s holds no key", file)
	}
	return keys, nil
}

// signature begins each line of a note's signatures.
const signature = "— "

// checkpointsIn reads published checkpoints: each ends with its signature's line
// and an empty one.
func checkpointsIn(file string) (notes [][]byte, err error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	parts := bytes.Split(trimmed(text), []byte("\n\n"))
	for i := 0; i < len(parts); i++ { // the statement, and its signatures
		note := append(append([]byte(nil), parts[i]...), "\n\n"...)
		if i+1 < len(parts) && bytes.HasPrefix(parts[i+1], []byte(signature)) {
			i++
			note = append(append(note, parts[i]...), '\n')
		} // else its end was cut off, which is told; those behind it are whole
		notes = append(notes, note)
	}
	if len(notes) == 0 {
		return nil, fmt.Errorf("%s holds no checkpoint", file)
	}
	return notes, nil
}

func printVerified(w io.Writer, r *audit.Report, output string) error {
	if output == "json" {
		if err := json.NewEncoder(w).Encode(r); err != nil {
			return err
		}
	} else {
		for _, l := range r.Logs {
			fmt.Fprintf(w, "%s: %d records compared, %d pruned, %d not signed yet; %s checked, the last of %s\n",
				shown(l.Replica), l.Records, l.Pruned, l.Unsigned, count(l.Checkpoints, "checkpoint"), l.Signed.UTC().Format(time.RFC3339))
			if l.PrunedBy != "" {
				fmt.Fprintf(w, "%s: that %d were pruned says the checkpoint of %s\n", shown(l.Replica), l.Pruned, shown(l.PrunedBy))
			}
		}
		for _, f := range r.Findings {
			fmt.Fprintln(w, shown(f.String()))
		}
	}
	if n := len(r.Findings); n > 0 {
		return fmt.Errorf("the audit log is not what was signed: %s", count(n, "finding"))
	}
	if output != "json" {
		fmt.Fprintln(w, "OK")
	}
	return nil
}
