package otlp_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/otlp"
	"github.com/sluice-gateway/sluice/audit/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a collector of logs, over gRPC and HTTP.
type server struct {
	collector.UnimplementedLogsServiceServer

	mu       sync.Mutex
	got      []*logs.LogRecord
	headers  []string
	broken   bool
	rejected int64
	hang     chan struct{}
}

func (s *server) Export(ctx context.Context, r *collector.ExportLogsServiceRequest) (*collector.ExportLogsServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	return s.take(ctx, r, md.Get("x-key"))
}

func (s *server) take(ctx context.Context, r *collector.ExportLogsServiceRequest, key []string) (*collector.ExportLogsServiceResponse, error) {
	s.mu.Lock()
	hang, broken := s.hang, s.broken
	s.mu.Unlock()
	if hang != nil {
		select {
		case <-ctx.Done():
		case <-hang:
		}
	}
	if broken || hang != nil {
		return nil, status.Error(codes.Unavailable, "away")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headers = append(s.headers, key...)
	for _, of := range r.GetResourceLogs() {
		for _, in := range of.GetScopeLogs() {
			s.got = append(s.got, in.GetLogRecords()...)
		}
	}
	return &collector.ExportLogsServiceResponse{PartialSuccess: &collector.ExportLogsPartialSuccess{RejectedLogRecords: s.rejected}}, nil
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	request := new(collector.ExportLogsServiceRequest)
	if err != nil || proto.Unmarshal(raw, request) != nil || r.URL.Path != "/v1/logs" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	answer, err := s.take(r.Context(), request, r.Header.Values("x-key"))
	if err != nil {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	raw, err = proto.Marshal(answer)
	if err == nil {
		_, _ = w.Write(raw)
	}
}

func (s *server) set(change func()) func(*testing.T) {
	return func(*testing.T) {
		s.mu.Lock()
		defer s.mu.Unlock()
		change()
	}
}

func (s *server) seqs(t *testing.T) (seqs []uint64) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.got {
		seqs = append(seqs, uint64(attribute(r, "sluice.seq").GetIntValue()))
	}
	return seqs
}

func attribute(r *logs.LogRecord, key string) interface {
	GetIntValue() int64
	GetStringValue() string
} {
	for _, a := range r.GetAttributes() {
		if a.GetKey() == key {
			return a.GetValue()
		}
	}
	return (*logs.LogRecord)(nil).GetBody()
}

// open starts a collector and a sink to it.
func open(t *testing.T, protocol string, change func(*otlp.Config)) (*server, *otlp.Sink) {
	t.Helper()
	s := new(server)
	cfg := otlp.Config{Protocol: protocol}
	if protocol == "grpc" {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		g := grpc.NewServer()
		collector.RegisterLogsServiceServer(g, s)
		var serving sync.WaitGroup
		serving.Go(func() { _ = g.Serve(l) })
		t.Cleanup(func() { g.Stop(); serving.Wait() })
		cfg.Endpoint = "http://" + l.Addr().String()
	} else {
		h := httptest.NewServer(s)
		t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
		cfg.Endpoint = h.URL + "/v1/logs"
	}
	if change != nil {
		change(&cfg)
	}
	sink, err := otlp.New("otlp", cfg, otlp.Transport{GRPC: insecure.NewCredentials(), HTTP: new(http.Transport)})
	if err != nil {
		t.Fatal(err)
	}
	return s, sink
}

func TestSuite(t *testing.T) {
	for _, protocol := range []string{"grpc", "http"} {
		t.Run(protocol, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Place {
				s, sink := open(t, protocol, nil)
				hang := make(chan struct{})
				t.Cleanup(func() { close(hang) })
				return sinktest.Place{
					Sink: sink, Received: s.seqs,
					Break: s.set(func() { s.broken = true }), Mend: s.set(func() { s.broken = false }), Hang: s.set(func() { s.hang = hang }),
				}
			})
		})
	}
}

func TestARecordsFieldsAreAttributes(t *testing.T) {
	s, sink := open(t, "grpc", nil)
	defer func() { _ = sink.Close() }()
	entries := sinktest.Entries(7, 1)
	entries[0].Record.Verdict, entries[0].Record.Status = audit.Denied, 7
	if err := sink.Send(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	r := s.got[0]
	for key, want := range map[string]string{"user.id": "alice", "gen_ai.request.model": "m0", "sluice.verdict": "denied", "sluice.verb": "infer"} {
		if got := attribute(r, key).GetStringValue(); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if attribute(r, "rpc.grpc.status_code").GetIntValue() != 7 || r.GetSeverityText() != "WARN" || r.GetEventName() != "sluice.call" ||
		!strings.Contains(r.GetBody().GetStringValue(), "infer m0 denied") || r.GetTimeUnixNano() != uint64(entries[0].Record.Time.UnixNano()) {
		t.Errorf("got %v", r)
	}
}

func TestHeadersAreSentAndSecretsReadForEach(t *testing.T) {
	for _, protocol := range []string{"grpc", "http"} {
		t.Run(protocol, func(t *testing.T) {
			t.Setenv("OTLP_TEST_KEY", "k1")
			var secret access.Secret
			if err := secret.UnmarshalText([]byte("${OTLP_TEST_KEY}")); err != nil {
				t.Fatal(err)
			}
			s, sink := open(t, protocol, func(c *otlp.Config) { c.Headers = map[string]access.Secret{"x-key": secret} })
			defer func() { _ = sink.Close() }()
			for i, key := range []string{"k1", "k2"} {
				t.Setenv("OTLP_TEST_KEY", key)
				if err := sink.Send(t.Context(), sinktest.Entries(uint64(i), 1)); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Join(s.headers, " "); got != "k1 k2" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestRecordsThatTheCollectorWillNotTakeAreAnError(t *testing.T) {
	s, sink := open(t, "http", nil)
	defer func() { _ = sink.Close() }()
	s.set(func() { s.rejected = 2 })(t)
	if err := sink.Send(t.Context(), sinktest.Entries(0, 3)); err == nil || !strings.Contains(err.Error(), "refused 2 of 3") {
		t.Errorf("got %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  otlp.Config
		want string
	}{
		"fine":                  {otlp.Config{Endpoint: "https://c:4317"}, ""},
		"no URL":                {otlp.Config{Endpoint: "c:4317"}, "URL"},
		"a protocol that isn't": {otlp.Config{Endpoint: "https://c", Protocol: "thrift"}, "grpc or http"},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.SetDefaults()
			problems := c.cfg.Validate()
			if (c.want == "") != (len(problems) == 0) || c.want != "" && !strings.Contains(problems[0].Message, c.want) {
				t.Errorf("got %v", problems)
			}
		})
	}
}
