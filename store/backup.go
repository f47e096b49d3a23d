package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"time"
)

// A backup is lines of JSON: what it is, one line for each item, and at the end
// how many there are and the SHA-256 of all lines before. It is the same of each
// kind of store, so that one restores into another. Bodies are as the store has
// them: what is sealed there is sealed here.
const (
	backupFormat = "sluice store backup"
	// backupLine is more than the longest line: a body in base 64 and three texts.
	backupLine = 2*MaxBody + 32*MaxText
)

// Backup says what a backup holds.
type Backup struct {
	Format string `json:"format"`
	// Version is of the format, not of a schema.
	Version int       `json:"version"`
	Made    time.Time `json:"made"`
}

type backupItem struct {
	Kind     Kind   `json:"kind"`
	ID       string `json:"id"`
	Revision int64  `json:"revision"`
	Owner    string `json:"owner,omitempty"`
	State    string `json:"state,omitempty"`
	// Expires is in milliseconds since 1970.
	Expires *int64 `json:"expires,omitempty"`
	Body    []byte `json:"body"`
}

type backupEnd struct {
	Items  *int   `json:"items"`
	SHA256 string `json:"sha256"`
}

// WriteBackup writes all that a store has, as it is at one moment, and says how
// many items that is.
func WriteBackup(ctx context.Context, k Keeper, w io.Writer, now time.Time) (items int, err error) {
	sum := sha256.New()
	buffered := bufio.NewWriter(w)
	lines := json.NewEncoder(io.MultiWriter(buffered, sum))
	if err := lines.Encode(Backup{Format: backupFormat, Version: 1, Made: now.UTC().Truncate(time.Second)}); err != nil {
		return 0, err
	}
	err = k.Dump(ctx, func(item Item) error {
		items++
		line := backupItem{Kind: item.Kind, ID: item.ID, Revision: item.Revision, Owner: item.Owner, State: item.State, Body: append([]byte{}, item.Body...)}
		if !item.Expires.IsZero() {
			ms := item.Expires.UnixMilli()
			line.Expires = &ms
		}
		return lines.Encode(line)
	})
	if err != nil {
		return items, err
	}
	if err := lines.Encode(backupEnd{Items: &items, SHA256: hex.EncodeToString(sum.Sum(nil))}); err != nil {
		return items, err
	}
	return items, buffered.Flush()
}

// ReadBackup restores a backup into a store that has no items, all of it or,
// where it is not whole, nothing. It says how many items that is.
func ReadBackup(ctx context.Context, k Keeper, r io.Reader) (items int, err error) {
	lines := backupReader{from: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	var head Backup
	if err := lines.next(&head); err != nil || head.Format != backupFormat {
		return 0, errors.Join(errors.New("not a backup of a store"), err)
	}
	if head.Version != 1 {
		return 0, fmt.Errorf("a backup of version %d, and this program knows 1", head.Version)
	}
	err = k.Restore(ctx, lines.all())
	return lines.items, err
}

// backupReader reads lines and remembers the sum of those before the last.
type backupReader struct {
	from  *bufio.Reader
	sum   hash.Hash
	line  []byte
	items int
}

// next reads one line into v, which knows all of its fields.
func (b *backupReader) next(v any) error {
	if b.line != nil {
		_, _ = b.sum.Write(b.line) // never fails
	}
	b.line = b.line[:0]
	for {
		part, err := b.from.ReadSlice('\n')
		b.line = append(b.line, part...)
		if len(b.line) > backupLine {
			return fmt.Errorf("line %d is longer than %d bytes", b.items+2, backupLine)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return fmt.Errorf("it ends before its end: %w", err)
		}
		break
	}
	d := json.NewDecoder(bytes.NewReader(b.line))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// all gives the items, and an error where the backup is not whole: the items
// before it must not be kept then.
func (b *backupReader) all() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for {
			var line struct {
				backupItem
				backupEnd
			}
			err := b.next(&line)
			if err == nil && line.Items != nil {
				err = b.end(line.backupEnd)
				if err != nil {
					yield(Item{}, err)
				}
				return
			}
			var item Item
			if err == nil {
				item, err = line.item()
			}
			b.items++
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

func (l *backupItem) item() (Item, error) {
	c := Change{Item: Item{Kind: l.Kind, ID: l.ID, Revision: l.Revision, Owner: l.Owner, State: l.State, Body: l.Body}}
	if l.Expires != nil {
		c.Expires = time.UnixMilli(*l.Expires).UTC()
	}
	if c.Revision < 1 {
		return Item{}, fmt.Errorf("%s %q has revision %d", c.Kind, c.ID, c.Revision)
	}
	return c.Item, c.check()
}

func (b *backupReader) end(said backupEnd) error {
	if *said.Items != b.items || said.SHA256 != hex.EncodeToString(b.sum.Sum(nil)) {
		return errors.New("it is damaged: the number of its items or their checksum is not what its last line says")
	}
	if _, err := b.from.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.New("it is damaged: there is something after its last line")
	}
	return nil
}
