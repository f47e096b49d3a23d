package audit

import "errors"

// maxDamage is how many places [Damage] tells of.
const maxDamage = 100

// Damage gathers what a search went past since it can't be read. The zero Damage is
// none. It is for one goroutine at a time.
type Damage struct {
	// Places are where, those beside each other as one; of more than 100 the others are
	// only counted.
	Places []DamagedError
	// Records is how many records that are.
	Records uint64
}

// Take takes an error of a search, and tells whether the search goes on behind it.
func (d *Damage) Take(err error) bool {
	damaged := (*DamagedError)(nil)
	if !errors.As(err, &damaged) {
		return false
	}
	d.Records += damaged.Last - damaged.First + 1
	if n := len(d.Places); n > 0 && d.Places[n-1].Replica == damaged.Replica {
		switch last := &d.Places[n-1]; {
		case last.Last+1 == damaged.First:
			last.Last = damaged.Last
			return true
		case damaged.Last+1 == last.First:
			last.First = damaged.First
			return true
		}
	}
	if len(d.Places) < maxDamage {
		d.Places = append(d.Places, DamagedError{Replica: damaged.Replica, First: damaged.First, Last: damaged.Last})
	}
	return true
}
