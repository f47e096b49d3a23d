package access

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
)

// Size is a number of bytes that a configuration writes as "8GiB" or "64kB".
type Size int64

// sizeUnits go from the largest binary one down, for printing.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"B", 1},
}

// UnmarshalText reads a whole number with an optional unit: B, kB MB GB TB
// (powers of 1000) or KiB MiB GiB TiB (powers of 1024). No unit means bytes.
func (s *Size) UnmarshalText(text []byte) error {
	digits, unit := strings.TrimSpace(string(text)), int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(digits, u.name); ok {
			digits, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return fmt.Errorf("must be a size such as 64MiB or 8GiB")
	}
	if n > uint64(math.MaxInt64/unit) {
		return fmt.Errorf("is too large for a size")
	}
	*s = Size(int64(n) * unit)
	return nil
}

// String prints the size in the largest binary unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits[:4] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText is the inverse of UnmarshalText.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// File is the path of a file that a configuration names and that has to be
// readable; a relative one counts from the configuration's folder.
type File string

// Anchor makes a relative path relative to dir.
func (f *File) Anchor(dir string) {
	if *f != "" && !filepath.IsAbs(string(*f)) {
		*f = File(filepath.Join(dir, string(*f)))
	}
}

// Path is the path of a file that is written: it need not be there.
type Path string

// Anchor makes a relative path relative to dir.
func (p *Path) Anchor(dir string) { (*File)(p).Anchor(dir) }
