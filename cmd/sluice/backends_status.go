package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends/pool"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/server"
)

func newBackendsStatusCmd() *cobra.Command {
	var path, output string
	cmd := &cobra.Command{
		Use:   "status [--config FILE]",
		Short: "Ask every replica whether it is ready, and what its models are",
		Long: `Status asks the replicas itself, from where it runs and with the credentials of
the configuration: their health and the models that they do not have alike are
what it sees. Which replicas are ejected and what is outstanding only a running
gateway knows; that comes from the gateway's metrics, if one answers at the
configuration's server.metrics, and is "-" otherwise.

The numbers of replicas are those in the gateway's answers ("replica 2 failed").`,
		Example: `  sluice backends status --config sluice.yaml
  sluice backends status --output json`,
		Args: noArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if formats := []string{"table", "json"}; !slices.Contains(formats, output) {
				return usage("--output %q: use table or json%s", output, access.DidYouMean(output, formats))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, problems := config.Load(path)
			if c == nil {
				return whichConfig(cmd, path, problems.Err())
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			asked, err := server.AskBackends(cmd.Context(), c.Backends, log)
			if err != nil {
				return err
			}
			seen := scrape(cmd.Context(), c.Server.Metrics)
			report := newStatusReport(asked, seen)
			if output == "json" {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			}
			return report.write(cmd.OutOrStdout())
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json")
	return cmd
}

// statusReport is the command's answer. What a gateway would have to say is null
// where none does.
type statusReport struct {
	// Gateway is the address of the metrics that were read, "" if none answered.
	Gateway  string          `json:"gateway"`
	Backends []backendReport `json:"backends"`
}

type backendReport struct {
	Name     string          `json:"name"`
	Type     string          `json:"type"`
	Replicas []replicaReport `json:"replicas"`
	Drift    []pool.Drift    `json:"drift"`
}

type replicaReport struct {
	Number      int    `json:"number"`
	Address     string `json:"address"`
	Health      string `json:"health"`
	Mismatch    string `json:"mismatch,omitempty"`
	Ejected     *bool  `json:"ejected"`
	Outstanding *int64 `json:"outstanding"`
}

func newStatusReport(asked []pool.Status, seen *scraped) statusReport {
	r := statusReport{Backends: []backendReport{}}
	if seen != nil {
		r.Gateway = seen.from
	}
	for _, s := range asked {
		b := backendReport{Name: s.Backend, Type: s.Type, Drift: s.Drift, Replicas: []replicaReport{}}
		if b.Drift == nil {
			b.Drift = []pool.Drift{}
		}
		for i, one := range s.Replicas {
			line := replicaReport{Number: i + 1, Address: one.Address, Health: one.Health, Mismatch: one.Mismatch}
			if v, ok := seen.value("sluice_backend_replica_ejected", s.Backend, one.Address); ok {
				ejected := v > 0
				line.Ejected = &ejected
			}
			if v, ok := seen.value("sluice_backend_replica_outstanding", s.Backend, one.Address); ok {
				n := int64(v)
				line.Outstanding = &n
			}
			b.Replicas = append(b.Replicas, line)
		}
		r.Backends = append(r.Backends, b)
	}
	return r
}

// write writes the report as a table, the differences between replicas below it.
func (r statusReport) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "BACKEND\tTYPE\tREPLICA\tADDRESS\tHEALTH\tEJECTED\tOUTSTANDING")
	for _, b := range r.Backends {
		for _, one := range b.Replicas {
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", b.Name, b.Type, one.Number, one.Address,
				cmp.Or(one.Mismatch, one.Health), known(one.Ejected), known(one.Outstanding))
		}
		if len(b.Replicas) == 0 {
			fmt.Fprintf(t, "%s\t%s\t-\tno address found\t-\t-\t-\n", b.Name, b.Type)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, b := range r.Backends {
		for _, d := range b.Drift {
			if _, err := fmt.Fprintf(w, "%s: the replicas differ in model %s: %s\n", b.Name, strings.TrimSpace(access.Quote(d.Model)+" "+d.Version), states(d)); err != nil {
				return err
			}
		}
	}
	from := "no gateway's metrics answer, so EJECTED and OUTSTANDING are not known"
	if r.Gateway != "" {
		from = "EJECTED and OUTSTANDING are of the gateway at " + r.Gateway
	}
	_, err := fmt.Fprintf(w, "health was asked from here; %s\n", from)
	return err
}

func states(d pool.Drift) string {
	var all []string
	for _, address := range slices.Sorted(maps.Keys(d.States)) {
		all = append(all, address+" "+cmp.Or(d.States[address], "nothing"))
	}
	return strings.Join(all, ", ")
}

func known[T bool | int64](v *T) string {
	switch v := any(v).(type) {
	case *bool:
		if v != nil {
			return map[bool]string{true: "yes", false: "no"}[*v]
		}
	case *int64:
		if v != nil {
			return strconv.FormatInt(*v, 10)
		}
	}
	return "-"
}
