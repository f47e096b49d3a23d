package detect_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// ordinary are things that texts and logs are full of, and that nobody wants
// masked, with how many in ten thousand may be taken for something all the
// same: where a check digit is all there is, one in ten is right by chance.
var ordinary = map[string]struct {
	write func(*rand.Rand) string
	most  int
}{
	"UUID": {func(r *rand.Rand) string {
		return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64()>>16)
	}, 0},
	"hash":            {func(r *rand.Rand) string { return fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()) }, 0},
	"short hash":      {func(r *rand.Rand) string { return fmt.Sprintf("%07x", r.IntN(1<<28)) }, 5},
	"number":          {func(r *rand.Rand) string { return fmt.Sprint(r.IntN(1_000_000)) }, 0},
	"order":           {func(r *rand.Rand) string { return fmt.Sprintf("order %08d", r.IntN(100_000_000)) }, 0},
	"long order":      {func(r *rand.Rand) string { return fmt.Sprintf("order %010d", r.Uint64()%10_000_000_000) }, 0},
	"order in groups": {func(r *rand.Rand) string { return fmt.Sprintf("ORD-%04d-%06d", r.IntN(10000), r.IntN(1000000)) }, 0},
	"seconds":         {func(r *rand.Rand) string { return fmt.Sprint(1_600_000_000 + r.IntN(200_000_000)) }, 0},
	"milliseconds":    {func(r *rand.Rand) string { return fmt.Sprint(1_600_000_000_000 + r.Int64N(200_000_000_000)) }, 0},
	"nanoseconds":     {func(r *rand.Rand) string { return fmt.Sprint(1_600_000_000_000_000_000 + r.Int64N(2e17)) }, 0},
	"time":            {func(r *rand.Rand) string { return when(r).Format(time.RFC3339Nano) }, 0},
	"time of a log":   {func(r *rand.Rand) string { return when(r).Format("2006/01/02 15:04:05.000000") }, 0},
	"date in words":   {func(r *rand.Rand) string { return when(r).Format("Monday, 2 January 2006 at 15:04") }, 0},
	"date":            {func(r *rand.Rand) string { return when(r).Format("02.01.2006") }, 0},
	"float":           {func(r *rand.Rand) string { return fmt.Sprint(r.NormFloat64()) }, 0},
	"floats": {func(r *rand.Rand) string {
		return fmt.Sprintf("[%.8f, %.8f, %.8f]", r.Float64(), r.Float64(), r.Float64())
	}, 0},
	"integers": {func(r *rand.Rand) string {
		return fmt.Sprintf("[%d, %d, %d, %d]", r.IntN(100), r.IntN(1000), r.IntN(100), r.IntN(10000))
	}, 0},
	"matrix": {func(r *rand.Rand) string {
		return fmt.Sprintf("%d %d %d\n%d %d %d", r.IntN(10), r.IntN(10), r.IntN(10), r.IntN(10), r.IntN(10), r.IntN(10))
	}, 0},
	"price": {func(r *rand.Rand) string {
		return fmt.Sprintf("$%d,%03d.%02d", r.IntN(1000), r.IntN(1000), r.IntN(100))
	}, 0},
	"euros": {func(r *rand.Rand) string {
		return fmt.Sprintf("%d.%03d,%02d €", r.IntN(1000), r.IntN(1000), r.IntN(100))
	}, 0},
	"version": {func(r *rand.Rand) string {
		return fmt.Sprintf("v%d.%d.%d-rc.%d", r.IntN(20), r.IntN(30), r.IntN(40), r.IntN(9))
	}, 0},
	"build": {func(r *rand.Rand) string {
		return fmt.Sprintf("version %d.%d.%d.%d", r.IntN(20), r.IntN(30), r.IntN(40), r.IntN(999))
	}, 0},
	"agent": {func(r *rand.Rand) string {
		return fmt.Sprintf("Mozilla/5.0 Chrome/%d.0.%d.%d Safari/537.36", 80+r.IntN(50), r.IntN(255), r.IntN(255))
	}, 0},
	"path": {func(r *rand.Rand) string {
		return fmt.Sprintf("/var/lib/%s/%d/%s.go:%d:%d", letters(r, 5), r.IntN(1000), letters(r, 8), r.IntN(1000), r.IntN(80))
	}, 0},
	"file of Windows": {func(r *rand.Rand) string {
		return fmt.Sprintf(`C:\%s\%s\new%d.txt`, letters(r, 5), letters(r, 7), r.IntN(1000))
	}, 0},
	"link": {func(r *rand.Rand) string {
		return fmt.Sprintf("https://example.com:8080/%s?id=%d&x=%s#top", letters(r, 6), r.IntN(1e6), letters(r, 4))
	}, 0},
	"package": {func(r *rand.Rand) string {
		return fmt.Sprintf("@types/%s %s@%d.%d.%d", letters(r, 5), letters(r, 6), r.IntN(9), r.IntN(9), r.IntN(20))
	}, 0},
	"base64": {func(r *rand.Rand) string {
		return base64.StdEncoding.EncodeToString([]byte(digits(r, 20) + letters(r, 13)))
	}, 1},
	"identifier": {func(r *rand.Rand) string { return fmt.Sprintf("%s_%s%d", letters(r, 5), letters(r, 6), r.IntN(100)) }, 0},
	"code": {func(r *rand.Rand) string {
		return fmt.Sprintf("for (i = %d; i < x[%d]; i++) a::b(%d, 0x%x);", r.IntN(9), r.IntN(99), r.IntN(999), r.Uint32())
	}, 0},
	"slice":       {func(r *rand.Rand) string { return fmt.Sprintf("x[%d:%d, ::%d]", r.IntN(9), r.IntN(99), r.IntN(9)) }, 0},
	"coordinates": {func(r *rand.Rand) string { return fmt.Sprintf("%.6f, %.6f", r.Float64()*90, r.Float64()*180) }, 0},
	"page and section": {func(r *rand.Rand) string {
		return fmt.Sprintf("section %d.%d.%d on page %d", r.IntN(20), r.IntN(9), r.IntN(9), r.IntN(500))
	}, 0},
	"score": {func(r *rand.Rand) string {
		return fmt.Sprintf("won 6-%d, %d-6, 7-5 (%d)", r.IntN(5), r.IntN(5), r.IntN(9))
	}, 0},
	"years": {func(r *rand.Rand) string {
		return fmt.Sprintf("from %d-%d to %d", 1900+r.IntN(50), 1950+r.IntN(50), 2000+r.IntN(30))
	}, 0},
	"parts": {func(r *rand.Rand) string {
		return fmt.Sprintf("%d/%d and %d:%d", r.IntN(99), r.IntN(99), r.IntN(24), r.IntN(60))
	}, 0},
	"16 digits": {func(r *rand.Rand) string { return "number " + digits(r, 16) }, 500},
	"9 digits":  {func(r *rand.Rand) string { return "number " + digits(r, 9) }, 0},
	"10 digits": {func(r *rand.Rand) string { return "value " + digits(r, 10) }, 0},
	"11 digits": {func(r *rand.Rand) string { return "value " + digits(r, 11) }, 0},
	"12 digits": {func(r *rand.Rand) string { return "value " + digits(r, 12) }, 20},
	"13 digits": {func(r *rand.Rand) string { return "EAN " + digits(r, 13) }, 200},
}

func when(r *rand.Rand) time.Time {
	return time.Unix(1_600_000_000+r.Int64N(200_000_000), r.Int64N(1e9)).UTC()
}

// TestOrdinary counts what is found where there is nothing to find, with all
// detectors at once.
func TestOrdinary(t *testing.T) {
	const n = 10_000
	set := everything(t)
	for name, o := range ordinary {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(11, uint64(len(name))))
			count := map[string]int{}
			total, example := 0, ""
			for range n {
				text := "It is " + o.write(rng) + " and so on"
				for _, m := range set.Find([]byte(text), nil) {
					count[set.Info(m.Index).Entity]++
					total++
					example = text[m.Start:m.End]
				}
			}
			if total > o.most {
				t.Errorf("%d in %d are taken for something, may be %d: %v, as %q", total, n, o.most, count, example)
			}
		})
	}
}

// TestProse: nothing is found in a mebibyte of ordinary text.
func TestProse(t *testing.T) {
	set := everything(t)
	text := prose(rand.New(rand.NewPCG(12, 12)), 1<<20, 0)
	for _, form := range []string{string(text), strings.ToUpper(string(text)), strings.ReplaceAll(string(text), " ", "\n")} {
		if got := set.Find([]byte(form), nil); len(got) > 0 {
			t.Errorf("%s", show(set, []byte(form), got[:min(len(got), 5)]))
		}
	}
}
