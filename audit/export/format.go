package export

import (
	"encoding/json"
	"io"
	"slices"

	"github.com/sluice-gateway/sluice/audit"
)

// Format is how records are written.
type Format string

// The formats. All but CSV and Parquet are lines of JSON.
const (
	JSONL       Format = "jsonl"
	CSV         Format = "csv"
	Parquet     Format = "parquet"
	OCSF        Format = "ocsf"
	CloudEvents Format = "cloudevents"
)

// Formats are all of them.
var Formats = []Format{JSONL, CSV, Parquet, OCSF, CloudEvents}

// Known tells whether there is such a format.
func (f Format) Known() bool { return slices.Contains(Formats, f) }

// ending is that of the format's files.
func (f Format) ending() string {
	switch f {
	case CSV, Parquet:
		return string(f)
	case OCSF, CloudEvents:
		return string(f) + ".jsonl"
	default:
		return string(JSONL)
	}
}

// writer writes one file. The same records give the same bytes.
type writer interface {
	write(r *audit.Record) error
	close() error
}

// NewWriter returns a function that writes records to w one by one, and one that
// ends the file; for who wants records on a stream and no manifest.
func NewWriter(f Format, w io.Writer) (write func(*audit.Record) error, end func() error) {
	one := newWriter(f, w)
	return one.write, one.close
}

func newWriter(f Format, w io.Writer) writer {
	switch f {
	case CSV:
		return newTable(w)
	case Parquet:
		return newColumns(w)
	case OCSF:
		return lines{w, func(r *audit.Record) any { return newActivity(r) }}
	case CloudEvents:
		return lines{w, func(r *audit.Record) any { return newEvent(r) }}
	default:
		return lines{w, func(r *audit.Record) any { return r }}
	}
}

// lines writes JSON, one value a line.
type lines struct {
	w  io.Writer
	of func(*audit.Record) any
}

func (l lines) write(r *audit.Record) error {
	b, err := json.Marshal(l.of(r))
	if err != nil {
		return err
	}
	_, err = l.w.Write(append(b, '\n'))
	return err
}

func (lines) close() error { return nil }
