package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/server"
	"github.com/sluice-gateway/sluice/store"
)

// current refuses a schema that is not this program's own.
func current(kind string, s store.Schema) error {
	if err := s.Check(); err != nil {
		return fmt.Errorf("store.%s: %w", kind, err)
	}
	if s.Have < s.Want {
		return fmt.Errorf("store.%s: the database has schema version %d, this program's is %d; run `sluice store migrate`", kind, s.Have, s.Want)
	}
	return nil
}

func newStoreMigrateCmd() *cobra.Command {
	var flags storeFlags
	var dry bool
	cmd := &cobra.Command{
		Use:   "migrate [--config FILE] [--dry-run]",
		Short: "Bring the database's schema up to date",
		Long: `Migrate makes the database if there is none, and brings its schema up to what
this version of Sluice needs. "sluice serve" does the same when it starts; this
command is for those who want to see it happen first. There is no way back, an
older version refuses a newer schema: make a backup with the older one before.`,
		Example: `  sluice store migrate --config sluice.yaml --dry-run`,
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
			if err := schema.Check(); err != nil {
				return fmt.Errorf("store.%s: %w", kind, err)
			}
			if !dry {
				s, err := server.OpenStore(cmd.Context(), c, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
				if err != nil {
					return err
				}
				if err := errors.Join(s.Ping(cmd.Context()), s.Close()); err != nil {
					return err
				}
			}
			r := migration{kind, schema.Have, schema.Want, dry}
			return flags.print(cmd.OutOrStdout(), r, r.write)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be done, and change nothing")
	return cmd
}

// migration is what was done to a store of the kind ID, or would be.
type migration struct {
	ID     string `json:"id"`
	From   int    `json:"from"`
	To     int    `json:"to"`
	DryRun bool   `json:"dry_run"`
}

func (m migration) write(w io.Writer) (err error) {
	switch {
	case m.From == m.To:
		_, err = fmt.Fprintf(w, "%s: schema version %d, nothing to do\n", m.ID, m.To)
	case m.DryRun:
		_, err = fmt.Fprintf(w, "%s: would go from schema version %d to %d\n", m.ID, m.From, m.To)
	default:
		_, err = fmt.Fprintf(w, "%s: from schema version %d to %d\n", m.ID, m.From, m.To)
	}
	return err
}
