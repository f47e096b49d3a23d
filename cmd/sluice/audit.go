package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/config"
)

func newAuditCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Read, replay, export and verify the record of what was done",
		Long: `The audit commands ask a running gateway for its audit log, as whoever SLUICE_TOKEN or
"sluice login" says: search, show, tail, stats and lookup find records, replay plays
sessions again, export writes files, and verify tells whether anything was changed.
Reading is recorded too.`,
		Example: `  sluice audit search --since 24h --verdict denied
  sluice audit verify --key audit.pub`,
		Args: noArgs,
		RunE: showHelp,

		DisableFlagsInUseLine: true,
	}
	cmd.AddCommand(newAuditSearchCmd(), newAuditShowCmd(), newAuditTailCmd(), newAuditStatsCmd(), newAuditLookupCmd(),
		newAuditReplayCmd(), newAuditExportCmd(), newAuditVerifyCmd(), newAuditKeyCmd())
	return cmd
}

func newAuditKeyCmd() *cobra.Command {
	path := ""
	cmd := &cobra.Command{
		Use:   "key [--config FILE]",
		Short: "Print the public key that checks the audit log",
		Long: `Key prints the public key of the audit log. Keep it where those who run the
gateway can't change it: with it, and a published checkpoint, anybody can tell
whether the log was. The private key is made if there is none yet.`,
		Example: `  sluice audit key --config sluice.yaml > audit.pub`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := auditConfig(cmd, path)
			if err != nil {
				return err
			}
			key, err := merkle.OpenKey(c.LogKey())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), key.Public())
			return err
		},
	}
	configFlag(cmd, &path)
	return cmd
}

var errNoAudit = errors.New("the configuration has no audit log; write audit.sqlite or store.sqlite")

// auditConfig reads a configuration that has an audit log.
func auditConfig(cmd *cobra.Command, path string) (*config.Config, error) {
	c, problems := config.Load(path)
	if c == nil {
		return nil, whichConfig(cmd, path, problems.Err())
	}
	if !c.HasLog() {
		return nil, errNoAudit
	}
	return c, nil
}
