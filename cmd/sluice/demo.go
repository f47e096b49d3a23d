package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/server"
)

func newDemoCmd() *cobra.Command {
	var o server.DemoOptions
	var backend string
	var log logFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run everything on this machine: an issuer, models and the gateway",
		Long: `Demo starts an OIDC issuer, a model server and the gateway in front of it, on
127.0.0.1 and with nothing else installed. The issuer knows alice (may do
everything), bob and dana (may infer and look), carol (may nothing yet) and the
service account ci (may infer on the model simple).

Whoever reaches the issuer is alice: the demo listens on loopback only.`,
		Example: `  sluice demo
  sluice demo token alice
  sluice demo --backend triton=127.0.0.1:9001`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Logger, err = log.logger(cmd.ErrOrStderr()); err != nil {
				return err
			}
			if backend != "" {
				kind, address, ok := strings.Cut(backend, "=")
				if !ok || kind != "triton" || address == "" {
					return usage("--backend %q: write triton=HOST:PORT", backend)
				}
				o.Backend = address
			}
			o.Ready = func(d server.Demo) { welcome(cmd.OutOrStdout(), d) }
			return server.RunDemo(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.GRPC, "grpc", "127.0.0.1:8001", "where the gateway serves gRPC")
	cmd.Flags().StringVar(&o.REST, "rest", "127.0.0.1:8000", "where the gateway is to serve REST (not built yet)")
	cmd.Flags().StringVar(&o.Metrics, "metrics", "127.0.0.1:8002", "where the gateway serves Prometheus metrics")
	cmd.Flags().StringVar(&o.Console, "console", "127.0.0.1:8003", "where the gateway is to serve the console (not built yet)")
	cmd.Flags().StringVar(&o.Issuer, "issuer", "127.0.0.1:8004", "where the demo's OIDC issuer listens")
	cmd.Flags().StringVar(&o.Data, "data", "", "keep the demo's files in this `folder` (default: a temporary one)")
	cmd.Flags().StringVar(&backend, "backend", "", "a real server in place of the embedded models, as triton=`HOST:PORT`")
	log.add(cmd, "text")
	cmd.AddCommand(newDemoTokenCmd())
	return cmd
}

// welcome says where everything is, and what to paste.
func welcome(w io.Writer, d server.Demo) {
	issuer := strings.TrimPrefix(d.Issuer, "http://")
	flag := ""
	if issuer != "127.0.0.1:8004" {
		flag = " --issuer " + issuer
	}
	fmt.Fprintf(w, `Sluice is running.

  gRPC     %s
  metrics  %s
  issuer   %s
  config   %s

In another terminal, with pip install 'tritonclient[grpc]':

  TOKEN=$(sluice demo token alice%s) python3 - <<'EOF'
  import os, numpy, tritonclient.grpc as triton
  client = triton.InferenceServerClient("%s")
  alice = {"authorization": "Bearer " + os.environ["TOKEN"]}
  x = triton.InferInput("INPUT0", [1, 16], "INT32"); x.set_data_from_numpy(numpy.arange(16, dtype="int32").reshape(1, 16))
  y = triton.InferInput("INPUT1", [1, 16], "INT32"); y.set_data_from_numpy(numpy.ones((1, 16), dtype="int32"))
  print(client.infer("simple", [x, y], headers=alice).as_numpy("OUTPUT0"))
  client.unload_model("simple", headers=alice); client.load_model("simple", headers=alice)
  EOF

Put bob in alice's place: he may infer, and is told who could unload. Ctrl-C ends the demo.
`, addr(d.GRPC), addr(d.Metrics), d.Issuer, d.Config, flag, addr(d.GRPC))
}

func addr(a fmt.Stringer) string {
	if a == nil {
		return "off"
	}
	return a.String()
}
