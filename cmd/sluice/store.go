package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/server"
	"github.com/sluice-gateway/sluice/store"
)

func newStoreCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Look after the database where state is kept",
		Long: `The store commands open the database of a configuration themselves: approval
requests, grants, ended sessions, stored credentials and notifications are in it,
records of calls are not. A gateway may go on using it meanwhile.`,
		Example: `  sluice store check --config sluice.yaml`,
		Args:    noArgs,
		RunE:    showHelp,

		DisableFlagsInUseLine: true,
	}
	cmd.AddCommand(newStoreMigrateCmd(), newStoreCheckCmd(), newStoreBackupCmd(), newStoreRestoreCmd())
	return cmd
}

// storeFlags are what each of the store commands takes.
type storeFlags struct{ config, output string }

func (f *storeFlags) add(cmd *cobra.Command) {
	configFlag(cmd, &f.config)
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table, json")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if formats := []string{"table", "json"}; !slices.Contains(formats, f.output) {
			return usage("--output %q: use table or json%s", f.output, access.DidYouMean(f.output, formats))
		}
		return nil
	}
}

// print writes v as JSON, or what text writes.
func (f *storeFlags) print(w io.Writer, v any, text func(io.Writer) error) error {
	if f.output == "json" {
		return json.NewEncoder(w).Encode(v)
	}
	return text(w)
}

func (f *storeFlags) load(cmd *cobra.Command) (config.Store, error) {
	c, problems := config.Load(f.config)
	if c == nil {
		return config.Store{}, whichConfig(cmd, f.config, problems.Err())
	}
	return c.Store, nil
}

// open opens the store if its schema is this program's own: these commands
// change none, beside migrate.
func (f *storeFlags) open(cmd *cobra.Command) (store.Keeper, error) {
	c, err := f.load(cmd)
	if err != nil {
		return nil, err
	}
	kind, schema, err := server.StoreSchema(cmd.Context(), c)
	if err != nil {
		return nil, err
	}
	if err := current(kind, schema); err != nil {
		return nil, err
	}
	return server.OpenStore(cmd.Context(), c, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})))
}
