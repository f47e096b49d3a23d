package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"

	"github.com/sluice-gateway/sluice/access"
)

// maxModels bounds the model names that metrics know. A name gets in only when
// a backend has answered for it, so that a caller can't make up labels.
const maxModels = 10_000

// otherModel is the label of every name that no backend has answered for.
const otherModel = "_other"

// Metrics are the gateway's counters, per RPC, model, verb, verdict and code.
// They are safe for concurrent use.
type Metrics struct {
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	messages *prometheus.CounterVec
	masked   *prometheus.CounterVec
	observed *prometheus.CounterVec
	guards   *prometheus.CounterVec

	// What a call hears with: made once, as a method's value is allocated each time.
	onMessage func(access.Message)
	onMasked  func(access.Found)
	onGuard   func(access.GuardOutcome)

	mu     sync.RWMutex
	models map[string]struct{}
	// handles keeps the resolved series of what happens often.
	handles sync.Map // handleKey -> handle; bounded by the bounded labels
}

type handleKey struct {
	rpc, model string
	verb       access.Verb
	verdict    string
	code       codes.Code
}

type handle struct {
	calls   prometheus.Counter
	seconds prometheus.Observer
}

// NewMetrics registers the metrics in reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_calls_total", Help: "Calls that ended, by RPC, model, verb, verdict (allowed, refused, failed) and gRPC code.",
		}, []string{"rpc", "model", "verb", "verdict", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_call_seconds", Help: "How long calls took, the backend's time included; for a stream its whole life.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60},
		}, []string{"rpc", "model"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_calls_in_flight", Help: "Calls that are open now, streams included.",
		}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_stream_messages_total", Help: "Requests inside streams, by model, verb and verdict.",
		}, []string{"model", "verb", "verdict"}),
		masked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_masked_total", Help: "Spans masked in answers, by model and entity.",
		}, []string{"model", "entity"}),
		observed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_observed_total", Help: "Spans that masking rules with observe: true found and left as they are, by model and entity.",
		}, []string{"model", "entity"}),
		guards: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_guards_total", Help: "Requests that a guard had something to say to, by guard and outcome (denied, failed, held; of guards with observe: true would_deny, would_hold, would_fail).",
		}, []string{"guard", "outcome"}),
		models: make(map[string]struct{}),
	}
	m.onMessage, m.onMasked, m.onGuard = m.message, m.found, m.guarded
	reg.MustRegister(m.calls, m.seconds, m.inFlight, m.messages, m.masked, m.observed, m.guards)
	return m
}

// Lists tells that a backend has answered for model, which makes its name a
// label from now on.
func (m *Metrics) Lists(model string) {
	if m.known(model) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.models) < maxModels {
		m.models[model] = struct{}{}
	}
}

func (m *Metrics) known(model string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, ok := m.models[model]
	return ok
}

// label is the model as a metric may show it.
func (m *Metrics) label(model string) string {
	if model == "" || m.known(model) {
		return model
	}
	return otherModel
}

// message counts one request inside a stream, once: that an approval let it
// through is no decision of its own.
func (m *Metrics) message(msg access.Message) {
	if msg.Refused == nil && msg.Decision == (access.Decision{}) {
		return
	}
	m.messages.WithLabelValues(m.label(msg.Model), msg.Verb.String(), msg.Verdict()).Inc()
}

// found counts what masking found in one answer. A model that has answered is
// one that a backend lists; a mere error is of no model. Entities are the
// configuration's.
func (m *Metrics) found(f access.Found) {
	if f.Model != "" {
		m.Lists(f.Model)
	}
	counter := m.masked
	if f.Observed {
		counter = m.observed
	}
	counter.WithLabelValues(m.label(f.Model), f.Entity).Add(float64(f.N))
}

// guarded counts what one guard did. Names of guards are the configuration's.
func (m *Metrics) guarded(o access.GuardOutcome) { m.guards.WithLabelValues(o.Guard, o.Did).Inc() }

func (m *Metrics) closed(call *access.Call, code codes.Code, took time.Duration) {
	m.inFlight.Dec()
	if code == codes.OK && call.Model != "" && call.Verb == access.Infer {
		m.Lists(call.Model)
	}
	if code > codes.Unauthenticated {
		code = codes.Unknown // a server can answer any number
	}
	key := handleKey{rpc: call.RPC, model: m.label(call.Model), verb: call.Verb, verdict: call.Verdict(code == codes.OK), code: code}
	h, ok := m.handles.Load(key)
	if !ok {
		h, _ = m.handles.LoadOrStore(key, handle{
			calls:   m.calls.WithLabelValues(key.rpc, key.model, key.verb.String(), key.verdict, code.String()),
			seconds: m.seconds.WithLabelValues(key.rpc, key.model),
		})
	}
	h.(handle).calls.Inc()
	h.(handle).seconds.Observe(took.Seconds())
}
