package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/audit"
	auditlog "github.com/sluice-gateway/sluice/audit/sqlite"
)

func newAuditVerifyCmd() *cobra.Command {
	var path, key, published, output string
	cmd := &cobra.Command{
		Use:   "verify [--config FILE] [--key FILE] [--checkpoints FILE]",
		Short: "Tell whether the audit log was changed",
		Long: `Verify compares every record with its hash, every hash with what was signed, and
every signature with the public key. It exits with 1 if anything does not fit, and
says which records it is about: edited, dropped, reordered, truncated, forked.

Without --key it believes the key of the configuration, which whoever runs the
gateway could have replaced along with the log. With --checkpoints, a file of
published checkpoints, the log has to be the one that they were made of.`,
		Example: `  sluice audit verify --config sluice.yaml --key audit.pub --checkpoints published.txt`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return usage("--output %q: use table or json", output)
			}
			c, err := auditConfig(cmd, path)
			if err != nil {
				return err
			}
			o := audit.VerifyOptions{Keys: make([]string, 1)}
			if o.Keys[0], err = publicKey(c, key); err != nil {
				return err
			}
			if o.Trusted, err = checkpointsIn(published); err != nil {
				return err
			}
			if _, err := os.Stat(c.LogPath()); err != nil {
				return err // else it would be made
			}
			l, err := auditlog.Open(cmd.Context(), c.LogPath())
			if err != nil {
				return err
			}
			defer func() { _ = l.Close() }()
			report, err := audit.Verify(cmd.Context(), l, o)
			if err != nil {
				return err
			}
			return printVerified(cmd.OutOrStdout(), report, output)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&key, "key", "", "a file with the public key; the configuration's own if empty")
	cmd.Flags().StringVar(&published, "checkpoints", "", "a file of checkpoints that were published")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json")
	return cmd
}

func trimmed(text []byte) []byte { return bytes.TrimSpace(text) }

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
	for i := 0; i+1 < len(parts); i += 2 { // the statement, and its signatures
		notes = append(notes, append(append(append([]byte(nil), parts[i]...), "\n\n"...), append(parts[i+1], '\n')...))
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
				l.Replica, l.Records, l.Pruned, l.Unsigned, count(l.Checkpoints, "checkpoint"), l.Signed.UTC().Format(time.RFC3339))
		}
		for _, f := range r.Findings {
			fmt.Fprintln(w, f)
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
