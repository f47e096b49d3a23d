package main

import (
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/server"
	"github.com/sluice-gateway/sluice/store"
)

func newStoreCheckCmd() *cobra.Command {
	var flags storeFlags
	cmd := &cobra.Command{
		Use:   "check [--config FILE]",
		Short: "Look for damage in the database",
		Long: `Check looks at the database's schema, at what it holds and at whether it can be
written, and says what it found. It exits with 1 if anything is wrong. It reads
all of the database.`,
		Example: `  sluice store check --config sluice.yaml --output json`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.load(cmd)
			if err != nil {
				return err
			}
			kind, schema, err := server.StoreSchema(cmd.Context(), c)
			if err != nil {
				return err
			}
			report := storeReport{ID: kind, Findings: []store.Finding{{ID: "schema", OK: true, Detail: fmt.Sprintf("version %d", schema.Have)}}}
			if err := current(kind, schema); err != nil {
				report.Findings[0] = store.Finding{ID: "schema", Detail: err.Error()}
				return flags.printChecked(cmd.OutOrStdout(), report)
			}
			s, err := server.OpenStore(cmd.Context(), c, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			found, err := s.Check(cmd.Context())
			if err != nil {
				return err
			}
			report.Findings = append(report.Findings, found...)
			return flags.printChecked(cmd.OutOrStdout(), report)
		},
	}
	flags.add(cmd)
	return cmd
}

// storeReport is what was found in a store of the kind ID.
type storeReport struct {
	ID       string          `json:"id"`
	OK       bool            `json:"ok"`
	Findings []store.Finding `json:"findings"`
}

// printChecked prints a report, and is an error where something is wrong.
func (f *storeFlags) printChecked(w io.Writer, r storeReport) error {
	bad := 0
	for _, finding := range r.Findings {
		if !finding.OK {
			bad++
		}
	}
	r.OK = bad == 0
	if err := f.print(w, r, r.write); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("store.%s: %s", r.ID, count(bad, "problem"))
	}
	return nil
}

func (r storeReport) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHECK\tOK\tDETAIL")
	for _, f := range r.Findings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.ID, map[bool]string{true: "yes", false: "no"}[f.OK], f.Detail)
	}
	return t.Flush()
}
