package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-gateway/sluice/bench/kserve"
	"github.com/sluice-gateway/sluice/bench/target"
)

// gateway is a Sluice in front of a backend, each a process of its own.
type gateway struct {
	backend, sluice *exec.Cmd
	dir             string
	grpc, rest      string
	token           string
	conn            *grpc.ClientConn
	web             *http.Client
}

const configuration = `
server: { grpc: %q, rest: %q, metrics: "off", console: "off" }
identity:
  oidc: [ { name: bench, issuer: %q, audiences: [%q], groups: groups, jwks: "file:%s" } ]
backends: [ { name: bench, type: triton, addresses: [%q], models: ["*"] } ]
policy: [policy.yaml]
`

const policy = `
roles: { viewer: [ { models: ["*"], verbs: [infer] } ] }
bindings: [ { role: viewer, groups: [%q] } ]
`

func startGateway(ctx context.Context, binary string) (g *gateway, err error) {
	g = &gateway{web: &http.Client{Transport: &http.Transport{DisableCompression: true}}}
	defer func() {
		if err != nil {
			g.stop()
		}
	}()
	if g.dir, err = os.MkdirTemp("", "bench-rest-"); err != nil {
		return g, err
	}
	address, err := g.startBackend(ctx)
	if err != nil {
		return g, err
	}
	id, err := target.NewIdentity(g.dir, time.Now())
	if err != nil {
		return g, err
	}
	g.token = id.Token
	if g.grpc, err = freeAddress(); err != nil {
		return g, err
	}
	if g.rest, err = freeAddress(); err != nil {
		return g, err
	}
	path := filepath.Join(g.dir, "sluice.yaml")
	for name, text := range map[string]string{
		path:                                fmt.Sprintf(configuration, g.grpc, g.rest, id.Issuer, id.Audience, id.JWKS, address),
		filepath.Join(g.dir, "policy.yaml"): fmt.Sprintf(policy, id.Group),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return g, err
		}
	}
	g.sluice = child(ctx, binary, "serve", "--config", path)
	log, err := os.Create(filepath.Join(g.dir, "sluice.log"))
	if err != nil {
		return g, err
	}
	g.sluice.Stderr = log
	if err := g.sluice.Start(); err != nil {
		return g, err
	}
	if err := g.wait(ctx); err != nil {
		return g, err
	}
	g.conn, err = grpc.NewClient(g.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(kserve.Codec{}), grpc.MaxCallRecvMsgSize(2*maxTensor), grpc.MaxCallSendMsgSize(2*maxTensor)))
	return g, err
}

func (g *gateway) startBackend(ctx context.Context) (address string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	g.backend = child(ctx, self, "backend")
	out, err := g.backend.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := g.backend.Start(); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(line), err
}

// wait returns when the REST door answers.
func (g *gateway) wait(ctx context.Context) error {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.rest+"/v2/health/live", nil)
		if err != nil {
			return err
		}
		if resp, err := g.web.Do(r); err == nil {
			return resp.Body.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("sluice does not answer; see %s", filepath.Join(g.dir, "sluice.log"))
		case <-time.After(patience / 200):
		}
	}
}

func (g *gateway) stop() {
	for _, c := range []*exec.Cmd{g.sluice, g.backend} {
		if c != nil && c.Process != nil {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	}
	_ = os.RemoveAll(g.dir)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// cpu is how much CPU time Sluice has used, from what the scheduler counts.
func (g *gateway) cpu() (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", g.sluice.Process.Pid))
	if err != nil {
		return 0, err
	}
	var all time.Duration
	for _, path := range tasks {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		all += time.Duration(ns)
	}
	return all, nil
}

// peak is the most memory that Sluice has had resident, in bytes, since it was
// asked the last time.
func (g *gateway) peak() (int64, error) {
	const clearPeak = "5" // of proc_pid_clear_refs(5): resets VmHWM
	dir := fmt.Sprintf("/proc/%d/", g.sluice.Process.Pid)
	b, err := os.ReadFile(dir + "status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		return 0, err
	}
	return kib << 10, os.WriteFile(dir+"clear_refs", []byte(clearPeak), 0)
}
