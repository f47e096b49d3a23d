package server

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/payload"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/secret"
)

const (
	// shredEvery is how often keys are looked for whose days are over.
	shredEvery = time.Hour
	// payloadsEnd bounds how long payloads are worked off when the gateway stops.
	payloadsEnd = 5 * time.Second
	minLookUp   = 32
)

// payloads keep what is said; nil keeps nothing.
type payloads struct {
	keeper *payload.Keeper
	reader *payload.Reader
	log    *slog.Logger
	marker *payload.Marker // nil: no value can be looked up
	// horizon is before what time keys are to be deleted, not ok if none is.
	horizon func() (before time.Time, ok bool)
}

// openPayloads makes what keeps and opens payloads in a log.
func (s *Server) openPayloads(cfg *config.Config, ring *secret.Keyring, log audit.Log, replica string) error {
	p := &cfg.Audit.Payload
	store, can := log.(audit.Payloads)
	if ring == nil || !can {
		return nil // nothing is kept, and nothing that was could be opened
	}
	marker, err := lookUps(p.LookUpKey)
	if err != nil {
		return err
	}
	out := &payloads{log: s.log, marker: marker, horizon: s.audit.Horizon}
	if out.reader, err = payload.NewReader(store, keyring{ring}, marker); err != nil {
		return err
	}
	out.keeper, err = payload.New(payload.Options{
		Rules: p.Payloads, Memory: p.PayloadMemory, Words: p.Words, Replica: replica,
		Masker: s.recording, Sealer: keyring{ring}, Store: store, Marker: marker,
	})
	if err != nil {
		out.reader.Close()
		return err
	}
	s.registry.MustRegister(payloadMetrics{out.keeper})
	s.payloads = out
	return nil
}

// recording is how the policy in force masks what is recorded of a model.
func (s *Server) recording(model string) payload.Masker {
	if r := s.masking.Record(model); r != nil {
		return r
	}
	return nil
}

// maskName masks what a caller has chosen of a record's words.
func (s *Server) maskName(model, text string) string { return s.masking.Record(model).Name(text) }

// lookUps reads the key of look-ups; nil where there is none.
func lookUps(ref access.Secret) (*payload.Marker, error) {
	if ref.IsZero() {
		return nil, nil
	}
	key, err := ref.Resolve()
	if err != nil {
		return nil, err
	}
	if len(key) < minLookUp {
		return nil, errors.New("audit.look_up_key: must be at least 32 bytes")
	}
	return payload.NewMarker([]byte(key)), nil
}

// keyring is secret's, as payloads ask for one.
type keyring struct{ ring *secret.Keyring }

var _ payload.Sealer = keyring{}

func (k keyring) Seal(aad, plain []byte) ([]byte, error) { return k.ring.Seal(plain, string(aad)) }

func (k keyring) Open(aad, sealed []byte) ([]byte, error) {
	b, err := k.ring.Open(sealed, string(aad))
	if err != nil {
		return nil, err
	}
	defer b.Wipe()
	var plain []byte
	b.Open(func(secret []byte) { plain = slices.Clone(secret) })
	return plain, nil
}

// keep is the keeper; nil where nothing is kept.
func (p *payloads) keep() *payload.Keeper {
	if p == nil {
		return nil
	}
	return p.keeper
}

// mark makes the hashes of masked values; nil where none are kept.
func (p *payloads) mark() func(string) uint64 {
	if p == nil || p.marker == nil {
		return nil
	}
	return p.marker.Mark
}

// run deletes the keys of days whose time is over, until ctx ends.
func (p *payloads) run(ctx context.Context) {
	if p == nil {
		return
	}
	tick := time.NewTicker(shredEvery)
	defer tick.Stop()
	for {
		n, err := 0, error(nil)
		if before, ok := p.horizon(); ok {
			n, err = p.keeper.Shred(ctx, before)
		}
		if err != nil && ctx.Err() == nil {
			p.log.LogAttrs(ctx, slog.LevelWarn, "keys of payloads whose time is over are still there", slog.Any("error", err))
		} else if n > 0 {
			p.log.LogAttrs(ctx, slog.LevelInfo, "payloads whose time is over can't be read any more", slog.Int("keys", n))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// close works off what was said last. It is called when no call is left, and before
// the recorder ends.
func (p *payloads) close() {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), payloadsEnd)
	defer cancel()
	p.keeper.Close(ctx)
	p.reader.Close()
}

// payloadMetrics tell how many payloads are kept and lost.
type payloadMetrics struct{ keeper *payload.Keeper }

var (
	payloadsKept  = prometheus.NewDesc("sluice_audit_payloads_total", "Payloads that were sealed, by whether all that was said is in them.", []string{"complete"}, nil)
	payloadsLost  = prometheus.NewDesc("sluice_audit_payloads_lost_total", "Payloads that were not kept, by why.", []string{"reason"}, nil)
	payloadsBytes = prometheus.NewDesc("sluice_audit_payload_bytes", "What is captured and not written yet, in bytes.", nil, nil)
)

var _ prometheus.Collector = payloadMetrics{}

// Describe is prometheus.Collector's.
func (payloadMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- payloadsKept
	out <- payloadsLost
	out <- payloadsBytes
}

// Collect is prometheus.Collector's.
func (m payloadMetrics) Collect(out chan<- prometheus.Metric) {
	st := m.keeper.Stats()
	out <- prometheus.MustNewConstMetric(payloadsKept, prometheus.CounterValue, float64(st.Kept-st.Cut), "true")
	out <- prometheus.MustNewConstMetric(payloadsKept, prometheus.CounterValue, float64(st.Cut), "false")
	for why, n := range st.Lost {
		out <- prometheus.MustNewConstMetric(payloadsLost, prometheus.CounterValue, float64(n), why)
	}
	out <- prometheus.MustNewConstMetric(payloadsBytes, prometheus.GaugeValue, float64(st.Bytes))
}
