package audit_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/sluice-gateway/sluice/audit"
)

func TestDamageIsCountedAndToldOfByPlaces(t *testing.T) {
	at := func(replica string, first, last uint64) audit.DamagedError {
		return audit.DamagedError{Replica: replica, First: first, Last: last}
	}
	for name, tt := range map[string]struct {
		in, want []audit.DamagedError
		records  uint64
	}{
		"none":                            {},
		"one":                             {[]audit.DamagedError{at("a", 3, 4)}, []audit.DamagedError{at("a", 3, 4)}, 2},
		"beside each other":               {[]audit.DamagedError{at("a", 3, 4), at("a", 5, 5)}, []audit.DamagedError{at("a", 3, 5)}, 3},
		"beside each other, newest first": {[]audit.DamagedError{at("a", 8, 9), at("a", 5, 7)}, []audit.DamagedError{at("a", 5, 9)}, 5},
		"apart":                           {[]audit.DamagedError{at("a", 3, 4), at("a", 6, 6)}, []audit.DamagedError{at("a", 3, 4), at("a", 6, 6)}, 3},
		"of two logs":                     {[]audit.DamagedError{at("a", 3, 4), at("b", 5, 5)}, []audit.DamagedError{at("a", 3, 4), at("b", 5, 5)}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var d audit.Damage
			for i := range tt.in {
				if !d.Take(fmt.Errorf("reading: %w", &tt.in[i])) {
					t.Error("a search would end")
				}
			}
			if !reflect.DeepEqual(d.Places, tt.want) || d.Records != tt.records {
				t.Errorf("got %+v, want %v and %d", d, tt.want, tt.records)
			}
		})
	}
}

func TestDamageIsBoundedAndTakesNoOtherError(t *testing.T) {
	var d audit.Damage
	for i := range uint64(1000) {
		d.Take(&audit.DamagedError{First: 2 * i, Last: 2 * i})
	}
	if len(d.Places) != 100 || d.Records != 1000 {
		t.Errorf("%d places, %d records", len(d.Places), d.Records)
	}
	if d.Take(nil) || d.Take(errors.New("away")) || d.Records != 1000 {
		t.Error("another error is taken for damage")
	}
}
