package export

import (
	"encoding/csv"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/sluice-gateway/sluice/audit"
)

// table writes CSV (RFC 4180) with a line of names. What callers chose, a model's
// name or a request's id, is never a formula to the spreadsheet that opens it.
type table struct {
	w     *csv.Writer
	cells []string
}

func newTable(w io.Writer) *table {
	t := &table{w: csv.NewWriter(w)}
	of := reflect.TypeFor[row]()
	names := make([]string, of.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(of.Field(i).Tag.Get("parquet"), ",")
	}
	_ = t.w.Write(names) // its error is the writer's, which Flush gives
	t.cells = make([]string, len(names))
	return t
}

// timeColumn is where Time is: it is written as text.
const timeColumn = 3

func (t *table) write(r *audit.Record) error {
	v := reflect.ValueOf(newRow(r))
	for i := range t.cells {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			t.cells[i] = harmless(f.String())
		case reflect.Bool:
			t.cells[i] = strconv.FormatBool(f.Bool())
		default:
			t.cells[i] = strconv.FormatInt(f.Int(), 10)
		}
	}
	t.cells[timeColumn] = r.Time.UTC().Format(time.RFC3339Nano)
	return t.w.Write(t.cells)
}

func (t *table) close() error {
	t.w.Flush()
	return t.w.Error()
}

// harmless puts an apostrophe before what a spreadsheet would compute: a formula
// can send what stands beside it to a stranger. Blanks before the sign don't help
// it, and neither do full-width signs.
func harmless(cell string) string {
	rest := strings.TrimLeft(cell, " \t\r\n\u00a0\ufeff")
	if rest != cell || rest != "" && strings.ContainsRune("=+-@|%＝＋－＠", []rune(rest)[0]) {
		return "'" + cell
	}
	return cell
}

// columns writes Parquet.
type columns struct{ w *parquet.GenericWriter[row] }

func newColumns(w io.Writer) columns {
	return columns{parquet.NewGenericWriter[row](w, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("sluice", "1", "audit"))}
}

func (c columns) write(r *audit.Record) error {
	_, err := c.w.Write([]row{newRow(r)})
	return err
}

func (c columns) close() error { return c.w.Close() }
