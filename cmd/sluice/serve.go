package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/server"
)

func newServeCmd() *cobra.Command {
	var path string
	var log logFlags
	cmd := &cobra.Command{
		Use:   "serve [--config FILE]",
		Short: "Run the gateway",
		Long: `Serve runs the gateway until SIGINT or SIGTERM; open calls then get
server.shutdown_grace to end. The configuration and the policy files are read
again when they change and on SIGHUP: as a whole, or not at all.

One line for each call and refusal goes to standard error, a hundredth of a second
later at most.`,
		Example: `  sluice serve --config sluice.yaml`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, flush, err := log.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer flush()
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			err = server.Run(cmd.Context(), server.Options{ConfigPath: path, Logger: logger, Reload: hup})
			return whichConfig(cmd, path, err)
		},
	}
	configFlag(cmd, &path)
	log.add(cmd, "json")
	return cmd
}

// configFlag adds --config.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", "sluice.yaml", "the configuration `file`")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

// whichConfig says how to name the configuration where nobody has, and the
// default is not there.
func whichConfig(cmd *cobra.Command, path string, err error) error {
	if _, missing := os.Stat(path); err == nil || missing == nil || cmd.Flags().Changed("config") {
		return err
	}
	return usage("%w; name a configuration with --config FILE", err)
}
