package payload

import (
	"context"
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
)

// Masker masks the messages of one model's calls; masking's Recording is one. It
// returns what may be kept, or an error: then nothing is. found hears of each value
// that is masked. It is safe for concurrent use.
type Masker interface {
	Request(ctx context.Context, message []byte, found func(entity string, value []byte)) ([]byte, *access.Error)
	Answer(ctx context.Context, message []byte, found func(entity string, value []byte)) ([]byte, *access.Error)
	// Answers masks all answers of one request together. ended tells that it came
	// to its end; of one that did not, what could become a match is left out.
	Answers(ctx context.Context, messages [][]byte, ended bool, found func(entity string, value []byte)) ([][]byte, *access.Error)
	Text(ctx context.Context, text string, found func(entity string, value []byte)) (string, *access.Error)
	// Message masks a message of any protobuf type by its name.
	Message(ctx context.Context, name string, message []byte, found func(entity string, value []byte)) ([]byte, *access.Error)
}

// Options are what a [Keeper] works with.
type Options struct {
	Rules  Rules
	Memory access.Size
	Words  bool
	// Replica names whose keys they are.
	Replica string
	// Masker gives the masking of a model by the policy in force; nil where no rule
	// is about it.
	Masker func(model string) Masker
	Sealer Sealer
	// Store keeps the keys. Payloads themselves are written with their records.
	Store audit.Payloads
	// Marker, if set, makes the hashes for look-ups.
	Marker *Marker
	// Workers is how many payloads are masked and sealed at once; Queue how many wait.
	Workers, Queue int
	// Timeout bounds the work on one payload, and how long it waits for it.
	Timeout time.Duration
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Defaults of [Options].
const (
	defaultWorkers = 2
	defaultQueue   = 4096
	defaultTimeout = 10 * time.Second
)

// Keeper decides what is captured, and makes of it what is kept. It is safe for
// concurrent use. A nil Keeper captures nothing.
type Keeper struct {
	opts   Options
	budget budget
	days   *days
	box    *box
	seed   maphash.Seed // of samples: nobody can choose a session that is not sampled
	queue  chan job
	stats  stats

	mu      sync.RWMutex // closing
	closed  bool
	stop    context.CancelFunc
	workers sync.WaitGroup
}

// New starts a keeper's workers; the context given to them ends with [Keeper.Close].
func New(opts Options) (*Keeper, error) {
	if opts.Masker == nil || opts.Sealer == nil || opts.Store == nil {
		return nil, errors.New("payload: a keeper needs a masker, a sealer and a store")
	}
	opts.Memory = orDefault(opts.Memory, defaultMemory)
	opts.Workers = orDefault(opts.Workers, defaultWorkers)
	opts.Queue = orDefault(opts.Queue, defaultQueue)
	opts.Timeout = orDefault(opts.Timeout, defaultTimeout)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	box, err := newBox()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &Keeper{
		opts: opts, budget: budget{most: int64(opts.Memory)}, box: box, seed: maphash.MakeSeed(),
		days:  &days{sealer: opts.Sealer, store: opts.Store, replica: opts.Replica},
		queue: make(chan job, opts.Queue), stop: stop,
	}
	for range opts.Workers {
		k.workers.Go(func() { k.work(ctx) })
	}
	return k, nil
}

func orDefault[N ~int | ~int64](n, otherwise N) N {
	if n <= 0 {
		return otherwise
	}
	return n
}

func (k *Keeper) now() time.Time { return k.opts.Now() }

// Begin begins to capture a call of a session, or returns nil where no rule says
// to. opened is the time that frames are told from: the record's.
func (k *Keeper) Begin(model string, verb access.Verb, session string, opened time.Time) *Capture {
	if k == nil {
		return nil
	}
	rule := k.opts.Rules.of(model, verb)
	if rule == nil || !k.sampled(rule.Payloads.Share, session) {
		return nil
	}
	return &Capture{keeper: k, rule: rule, model: model, masker: k.opts.Masker(model), opened: opened}
}

// Captures tells whether calls of a verb to a model may be captured.
func (k *Keeper) Captures(model string, verb access.Verb) bool {
	return k != nil && k.opts.Rules.of(model, verb) != nil
}

// sampled decides by the session, so that one is kept whole or not at all.
func (k *Keeper) sampled(share float64, session string) bool {
	switch {
	case share >= 1:
		return true
	case session == "":
		return rand.Float64() < share
	}
	return float64(maphash.String(k.seed, session)>>11)/(1<<53) < share
}

// Shred deletes the keys of the days that ended before a time: what was sealed
// with them is unreadable from then on, here and in every copy. It gives how many
// keys it deleted.
func (k *Keeper) Shred(ctx context.Context, before time.Time) (int, error) {
	return k.days.shred(ctx, before)
}

// Close works off what is queued until ctx ends, and ends the workers. Captures
// that are closed later are not kept.
func (k *Keeper) Close(ctx context.Context) {
	k.mu.Lock()
	if !k.closed {
		k.closed = true
		close(k.queue)
	}
	k.mu.Unlock()
	done := make(chan struct{})
	go func() { k.workers.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	k.stop() // what is left is given back as lost
	<-done
	k.box.close()
}

// Lost is why a payload is not kept.
type Lost uint8

// Why payloads are not kept.
const (
	Unattributed Lost = iota + 1 // it is not known whose answers they were
	NoMemory                     // all calls together had captured too much
	QueueFull                    // the workers did not keep up
	Unmasked                     // it could not be masked
	NoKey                        // there was no key to seal it with
	reasons
)

var lostNames = [reasons]string{"", "unattributed", "no_memory", "queue_full", "unmasked", "no_key"}

// String is the reason as metrics and records show it.
func (l Lost) String() string {
	if l < reasons {
		return lostNames[l]
	}
	return ""
}

type stats struct {
	kept, cut atomic.Int64
	lost      [reasons]atomic.Int64
}

// Stats counts payloads since the start.
type Stats struct {
	// Kept are those that were sealed, Cut those of them that are not complete.
	Kept, Cut int64
	// Lost are those that were not kept, by the name of the reason.
	Lost map[string]int64
	// Bytes is what captures hold now, Queued how many wait.
	Bytes  int64
	Queued int
}

// Stats counts payloads since the start; of a nil Keeper, none.
func (k *Keeper) Stats() Stats {
	s := Stats{Lost: make(map[string]int64, reasons)}
	if k == nil {
		return s
	}
	s.Kept, s.Cut, s.Bytes, s.Queued = k.stats.kept.Load(), k.stats.cut.Load(), k.budget.held.Load(), len(k.queue)
	for why := Unattributed; why < reasons; why++ {
		s.Lost[why.String()] = k.stats.lost[why].Load()
	}
	return s
}
