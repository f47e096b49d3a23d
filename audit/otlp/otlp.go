// Package otlp sends records to an OpenTelemetry collector as log records, over
// OTLP/gRPC or OTLP/HTTP with protobuf. The attributes have the names that a
// record's JSON has.
package otlp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
)

// Config says where the collector is.
type Config struct {
	// Endpoint is the collector's URL: "https://collector:4317" for protocol grpc,
	// "https://collector:4318/v1/logs" for http.
	Endpoint string `yaml:"endpoint"`
	// Protocol is grpc or http. Default: grpc.
	Protocol string `yaml:"protocol"`
	// Headers are sent with each request, by reference.
	Headers map[string]access.Secret `yaml:"headers"`
	// CA is a PEM file of the authorities that may have signed the collector's
	// certificate; without it, the system's.
	CA access.File `yaml:"ca"`
}

const (
	overGRPC = "grpc"
	overHTTP = "http"
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 64 << 10
)

// SetDefaults fills in what is not set.
func (c *Config) SetDefaults() { c.Protocol = cmp.Or(c.Protocol, overGRPC) }

// Validate reports what is wrong, after SetDefaults.
func (c *Config) Validate() (problems []access.Problem) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		problems = append(problems, access.Problem{Path: "endpoint", Message: "must be a URL such as https://collector:4317"})
	}
	if protocols := []string{overGRPC, overHTTP}; !slices.Contains(protocols, c.Protocol) {
		problems = append(problems, access.Problem{Path: "protocol", Message: "must be grpc or http" + access.DidYouMean(c.Protocol, protocols)})
	}
	return problems
}

// Secure tells whether the collector is reached over TLS.
func (c *Config) Secure() bool { return strings.HasPrefix(c.Endpoint, "https://") }

// Transport is how the collector is reached; of the two, the protocol's is needed.
type Transport struct {
	GRPC credentials.TransportCredentials
	HTTP http.RoundTripper
}

// Sink sends to one collector. It is safe for concurrent use.
type Sink struct {
	name   string
	cfg    Config
	conn   *grpc.ClientConn
	client *http.Client
}

var _ audit.Sink = (*Sink)(nil)

// New returns a sink; it connects when there is something to send.
func New(name string, cfg Config, by Transport) (*Sink, error) {
	cfg.SetDefaults()
	s := &Sink{name: name, cfg: cfg}
	if cfg.Protocol == overHTTP {
		s.client = &http.Client{Transport: by.HTTP, CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the collector redirects; write its own URL")
		}}
		return s, nil
	}
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	s.conn, err = grpc.NewClient("dns:///"+u.Host, grpc.WithTransportCredentials(by.GRPC))
	return s, err
}

// Name is the sink's name in the configuration.
func (s *Sink) Name() string { return s.name }

// Send sends the records. Those that the collector says it will never take are an
// error too: nobody but the operator can decide that they are not needed.
func (s *Sink) Send(ctx context.Context, batch []audit.Entry) error {
	request, err := export(batch)
	if err != nil {
		return err
	}
	headers := make(map[string]string, len(s.cfg.Headers))
	for name, secret := range s.cfg.Headers {
		if headers[name], err = secret.Resolve(); err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
	}
	var answer *collector.ExportLogsServiceResponse
	if s.conn != nil {
		answer, err = collector.NewLogsServiceClient(s.conn).Export(metadata.NewOutgoingContext(ctx, metadata.New(headers)), request)
	} else {
		answer, err = s.post(ctx, headers, request)
	}
	if err != nil {
		return err
	}
	if n := answer.GetPartialSuccess().GetRejectedLogRecords(); n > 0 {
		return fmt.Errorf("the collector refused %d of %d records", n, len(batch))
	}
	return nil
}

func (s *Sink) post(ctx context.Context, headers map[string]string, message proto.Message) (*collector.ExportLogsServiceResponse, error) {
	body, err := proto.Marshal(message)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.Endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the collector answers %s", response.Status)
	}
	answer := new(collector.ExportLogsServiceResponse)
	return answer, proto.Unmarshal(raw, answer)
}

// export makes a request of records, which are all of one replica.
func export(batch []audit.Entry) (*collector.ExportLogsServiceRequest, error) {
	scope := &logs.ScopeLogs{Scope: &common.InstrumentationScope{Name: "github.com/sluice-gateway/sluice/audit"}}
	for _, e := range batch {
		attributes, err := attributesOf(e.Record)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", e.Record.Seq, err)
		}
		number, level := severity(e.Record)
		at := uint64(e.Record.Time.UnixNano())
		scope.LogRecords = append(scope.LogRecords, &logs.LogRecord{
			TimeUnixNano: at, ObservedTimeUnixNano: at, SeverityNumber: number, SeverityText: level,
			EventName: "sluice." + e.Record.Kind.String(), Body: text(summary(e.Record)), Attributes: attributes,
		})
	}
	of := &resource.Resource{Attributes: []*common.KeyValue{
		{Key: "service.name", Value: text("sluice")}, {Key: "service.instance.id", Value: text(batch[0].Record.Replica)},
	}}
	return &collector.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{Resource: of, ScopeLogs: []*logs.ScopeLogs{scope}}}}, nil
}

func severity(r *audit.Record) (logs.SeverityNumber, string) {
	switch r.Severity() {
	case audit.SeverityError:
		return logs.SeverityNumber_SEVERITY_NUMBER_ERROR, "ERROR"
	case audit.SeverityWarning:
		return logs.SeverityNumber_SEVERITY_NUMBER_WARN, "WARN"
	}
	return logs.SeverityNumber_SEVERITY_NUMBER_INFO, "INFO"
}

// summary is the record in a few words.
func summary(r *audit.Record) string {
	words := []string{cmp.Or(r.Name, r.PrincipalID(), "nobody"), cmp.Or(r.Verb, r.Kind.String()), r.Model}
	if r.Verdict != 0 {
		words = append(words, r.Verdict.String())
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// attributesOf are the record's fields under the names of its JSON.
func attributesOf(r *audit.Record) ([]*common.KeyValue, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&fields); err != nil {
		return nil, err
	}
	delete(fields, "time")
	return pairs(fields), nil
}

func pairs(fields map[string]any) []*common.KeyValue {
	all := make([]*common.KeyValue, 0, len(fields))
	for key, v := range fields {
		all = append(all, &common.KeyValue{Key: key, Value: value(v)})
	}
	slices.SortFunc(all, func(a, b *common.KeyValue) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

func value(v any) *common.AnyValue {
	switch v := v.(type) {
	case bool:
		return &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: v}}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}}
		}
		return text(v.String()) // more than an int64 holds
	case string:
		return text(v)
	case []any:
		list := new(common.ArrayValue)
		for _, one := range v {
			list.Values = append(list.Values, value(one))
		}
		return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: list}}
	case map[string]any:
		return &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: pairs(v)}}}
	}
	return new(common.AnyValue)
}

func text(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

// Close ends the connection.
func (s *Sink) Close() error {
	if s.conn != nil {
		return s.conn.Close()
	}
	s.client.CloseIdleConnections()
	return nil
}
