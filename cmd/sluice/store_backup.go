package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/store"
)

func newStoreBackupCmd() *cobra.Command {
	var flags storeFlags
	cmd := &cobra.Command{
		Use:   "backup [--config FILE] FILE",
		Short: "Write all that the database holds to a file",
		Long: `Backup writes the database as it is at one moment to a new file, which only its
owner can read: a line of JSON for each item, and a checksum at the end. Stored
credentials in it are sealed as they are in the database; the key is not in it.
A gateway may go on meanwhile. It restores into either kind of store.`,
		Example: `  sluice store backup --config sluice.yaml store.jsonl`,
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := flags.open(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			items, err := writeBackup(cmd.Context(), s, args[0])
			if err != nil {
				return err
			}
			return flags.printKept(cmd.OutOrStdout(), kept{args[0], items}, "written to")
		},
	}
	flags.add(cmd)
	return cmd
}

func newStoreRestoreCmd() *cobra.Command {
	var flags storeFlags
	cmd := &cobra.Command{
		Use:   "restore [--config FILE] FILE",
		Short: "Fill an empty database from a backup",
		Long: `Restore puts what a backup holds into the database of the configuration, all of
it or nothing: a backup that is not whole is refused, and so is a database that
holds anything already. Stop every gateway that uses it before.`,
		Example: `  sluice store restore --config sluice.yaml store.jsonl`,
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := flags.open(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }()
			items, err := store.ReadBackup(cmd.Context(), s, f)
			if err != nil {
				return fmt.Errorf("%s: nothing was restored: %w", args[0], err)
			}
			return flags.printKept(cmd.OutOrStdout(), kept{args[0], items}, "restored from")
		},
	}
	flags.add(cmd)
	return cmd
}

func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return misused(cmd, "name one file")
	}
	return nil
}

// kept is how many items a backup has.
type kept struct {
	ID    string `json:"id"` // the file
	Items int    `json:"items"`
}

func (f *storeFlags) printKept(w io.Writer, k kept, done string) error {
	return f.print(w, k, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s %s %s\n", count(k.Items, "item"), done, k.ID)
		return err
	})
}

// writeBackup makes the file; where that fails there is none.
func writeBackup(ctx context.Context, s store.Keeper, path string) (items int, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return 0, fmt.Errorf("%s is there already; name a new file", path)
	}
	if err != nil {
		return 0, err
	}
	items, err = store.WriteBackup(ctx, s, f, time.Now())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return items, err
}
