package detect

// numberForm is how a national number of digits only looks.
type numberForm struct {
	digits int
	shapes []string // sizes of its groups; one group is always possible
	alone  float32  // score of one group
	apart  float32  // score of one of the shapes
	valid  func([]byte) bool
}

// newNumberID makes a detector of a national number. valid is asked last, for
// all of its digits.
func newNumberID(info Info, f numberForm, raise ...string) *Detector {
	info.Threshold = 0.5
	info.Longest = f.digits
	for _, shape := range f.shapes {
		info.Longest = max(info.Longest, f.digits+(len(shape)-1)*maxBetween)
	}
	return &Detector{
		info:      info,
		inDigits:  true,
		minDigits: f.digits,
		raise:     raise,
		verify:    func(w *window, e *entry, at int) { f.verify(w, e, at) },
	}
}

func (f *numberForm) verify(w *window, e *entry, at int) {
	if w.wordBefore(at) || w.joined(at) {
		return
	}
	c := w.cluster(at, at)
	base, may := f.score(c)
	if base == 0 {
		return
	}
	g := c.endsIn(f.digits)
	hit := g >= 0 && !w.goesOn(c, g) && f.valid(c.value[:f.digits])
	if !hit && !may {
		return
	}
	switch score := w.contextScore(e, at, base); {
	case may && score >= e.threshold:
		w.wait(at)
	case hit && !may:
		w.hit(e, at, c.groups[g].end, score)
	}
}

// score is that of the cluster's groups as far as they go, 0 if they can't be
// a number's. may tells that more of it could come, or something behind it.
func (f *numberForm) score(c *cluster) (base float32, may bool) {
	if first := c.groups[0].len(); first == f.digits || c.n == 1 && c.cut && first < f.digits {
		base, may = f.alone, c.open && c.n == 1
	}
	for _, shape := range f.shapes {
		if fits, open := c.shaped(shape); fits || open {
			base, may = max(base, f.apart), may || open
		}
	}
	return base, may
}

// shaped tells whether the first groups have these sizes, one character apart
// each, and whether they may still come to have them or something behind.
func (c *cluster) shaped(sizes string) (fits, open bool) {
	for i := range len(sizes) {
		want := int(sizes[i] - '0')
		if i == c.n {
			return false, c.open && !c.cut
		}
		g := &c.groups[i]
		switch {
		case i > 0 && (g.width != 1 || g.sep == ',' || g.sep == '|' || g.sep == ':'):
			return false, false
		case i == c.n-1 && c.cut && g.len() <= want:
			return false, true
		case g.len() != want:
			return false, false
		}
	}
	return true, c.open && c.n == len(sizes)
}

// weighted is the sum of digits times weights.
func weighted(v []byte, weights ...int) (sum int) {
	for i, weight := range weights {
		sum += int(v[i]) * weight
	}
	return sum
}

// twoDigits is the number that two digits make.
func twoDigits(v []byte) int { return int(v[0])*10 + int(v[1]) }

// value is the number that digits make.
func value(v []byte) (n int) {
	for _, d := range v {
		n = n*10 + int(d)
	}
	return n
}

// dayOfYear tells whether month and day can be, whatever the year.
func dayOfYear(month, day int) bool { return month >= 1 && month <= 12 && day >= 1 && day <= 31 }

// allEqual tells numbers like 111 111 111, which have right check digits in
// many schemes and belong to nobody.
func allEqual(v []byte) bool {
	for _, d := range v {
		if d != v[0] {
			return false
		}
	}
	return true
}
