package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/server"
)

// defaultIssuer is where the demo's issuer listens, and where tokens are got.
const defaultIssuer = "127.0.0.1:8004"

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
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var flush func()
			var err error
			if o.Logger, flush, err = log.logger(cmd.ErrOrStderr()); err != nil {
				return err
			}
			defer flush()
			if o.Backend, err = demoBackend(backend); err != nil {
				return err
			}
			if o.GRPC == "off" || o.Issuer == "off" {
				return usage("there is no demo without its gRPC listener and its issuer; only --rest, --metrics and --console may be off")
			}
			o.Ready = func(d server.Demo) { welcome(cmd.OutOrStdout(), d) }
			return elsewhere(server.RunDemo(cmd.Context(), o))
		},
	}
	cmd.Flags().StringVar(&o.GRPC, "grpc", "127.0.0.1:8001", "where the gateway serves gRPC")
	cmd.Flags().StringVar(&o.REST, "rest", "127.0.0.1:8000", "where the gateway serves REST")
	cmd.Flags().StringVar(&o.Metrics, "metrics", "127.0.0.1:8002", "where the gateway serves Prometheus metrics, or off")
	cmd.Flags().StringVar(&o.Console, "console", "127.0.0.1:8003", "where the gateway serves the admin API, over gRPC and REST")
	cmd.Flags().StringVar(&o.Issuer, "issuer", defaultIssuer, "where the demo's OIDC issuer listens")
	cmd.Flags().StringVar(&o.Data, "data", "", "keep the demo's files in this `folder` (default: a temporary one)")
	cmd.Flags().StringVar(&backend, "backend", "", "a real server in place of the embedded models, as triton=`HOST:PORT`")
	log.add(cmd, "text")
	cmd.AddCommand(newDemoTokenCmd())
	return cmd
}

// demoBackend reads --backend.
func demoBackend(flag string) (address string, err error) {
	if flag == "" {
		return "", nil
	}
	kind, address, _ := strings.Cut(flag, "=")
	if kind != "triton" || address == "" {
		return "", usage("--backend %q: write triton=HOST:PORT", flag)
	}
	return address, nil
}

// elsewhere says what to do about a port that something else has, often
// another demo.
func elsewhere(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; end what listens there, or move the demo with --grpc, --rest, --metrics, --console and --issuer", err)
	}
	return err
}

// welcome says where everything is, and what to paste. What is to be pasted is
// not indented: neither the shell nor Python would take it.
func welcome(w io.Writer, d server.Demo) {
	issuer := strings.TrimPrefix(d.Issuer, "http://")
	flag := ""
	if issuer != defaultIssuer {
		flag = " --issuer " + issuer
	}
	fmt.Fprintf(w, `Sluice is running.

  gRPC     %s
  REST     %s
  metrics  %s
  admin    %s
  issuer   %s
  config   %s

In another terminal, with pip install 'tritonclient[grpc]':

export TOKEN=$(%s demo token alice%s)
python3 - <<'EOF'
import os, numpy, tritonclient.grpc as triton
client = triton.InferenceServerClient("%s")
token = {"authorization": "Bearer " + os.environ["TOKEN"]}
ones = numpy.ones((1, 16), "int32")
inputs = [triton.InferInput(name, [1, 16], "INT32").set_data_from_numpy(ones) for name in ("INPUT0", "INPUT1")]
print(client.infer("simple", inputs, headers=token).as_numpy("OUTPUT0"))
client.unload_model("simple", headers=token); client.load_model("simple", headers=token)
EOF

%s%s%sPut bob in alice's place: he may infer, and is told who could unload. Ctrl-C ends the demo.
`, addr(d.GRPC), addr(d.REST), addr(d.Metrics), adminURL(d.Console), d.Issuer, d.Config, self(), flag, addr(d.GRPC),
		overREST(d.REST), overApproval(d, flag), overAudit(d.Console))
}

// overApproval are commands for a call that waits until somebody else agrees.
func overApproval(d server.Demo, issuer string) string {
	if addr(d.Console) == "off" || addr(d.REST) == "off" {
		return ""
	}
	at := ""
	if admin := adminURL(d.Console); admin != defaultServer {
		at = "export SLUICE_SERVER=" + admin + "\n"
	}
	return fmt.Sprintf(`%[1]scurl -s -X POST -H "Authorization: Bearer $TOKEN" http://%[2]s/v2/repository/models/prod-simple/unload &
export CAROL=$(%[3]s demo token carol%[4]s)
SLUICE_TOKEN=$CAROL %[3]s approvals list
SLUICE_TOKEN=$CAROL %[3]s approvals approve ID --reason "fine by me"

The unload waits, and goes on once carol has put the listed ID in; alice can't approve what is hers.

`, at, addr(d.REST), self(), issuer)
}

// overAudit is a command that finds what was done; alice is an auditor.
func overAudit(console fmt.Stringer) string {
	if addr(console) == "off" {
		return ""
	}
	flag := ""
	if at := adminURL(console); at != defaultServer {
		flag = " --server " + at
	}
	return fmt.Sprintf("SLUICE_TOKEN=$TOKEN %s audit search%s\n\nThat is what was done so far.\n\n", self(), flag)
}

// overREST is a command for the REST door: dana sees what is masked for alice.
func overREST(door fmt.Stringer) string {
	if addr(door) == "off" {
		return ""
	}
	return fmt.Sprintf(`curl -s -H "Authorization: Bearer $TOKEN" http://%s/v2/models/tokens/generate -d '{"text_input": "hi", "exclude_input_in_output": true}'

What that says is masked for alice, and clear for dana.
`, addr(door))
}

// adminURL is what SLUICE_SERVER has to be.
func adminURL(a fmt.Stringer) string {
	if addr(a) == "off" {
		return "off"
	}
	return "http://" + addr(a)
}

func addr(a fmt.Stringer) string {
	if a == nil {
		return "off"
	}
	return a.String()
}

// self is how to run this program once more: it need not be on the PATH, and
// go run keeps it where nobody would look for it.
func self() string {
	path, err := os.Executable()
	if err != nil {
		return "sluice"
	}
	if strings.Contains(path, "go-build") {
		return "go run ./cmd/sluice"
	}
	if found, err := exec.LookPath("sluice"); err == nil && sameFile(found, path) {
		return "sluice"
	}
	return path
}

func sameFile(a, b string) bool {
	one, errOne := os.Stat(a)
	other, errOther := os.Stat(b)
	return errOne == nil && errOther == nil && os.SameFile(one, other)
}
