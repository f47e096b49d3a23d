package audit

import (
	"fmt"
	"strconv"
)

// String is the kind as searches and JSON write it.
func (k Kind) String() string { return nameOf(kindNames[:], int(k)) }

// MarshalText is [Kind.String].
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is its inverse.
func (k *Kind) UnmarshalText(text []byte) error {
	n, err := numberOf(kindNames[:], string(text))
	*k = Kind(n)
	return err
}

// String is the verdict as searches and JSON write it.
func (v Verdict) String() string { return nameOf(verdictNames[:], int(v)) }

// MarshalText is [Verdict.String].
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText is its inverse.
func (v *Verdict) UnmarshalText(text []byte) error {
	n, err := numberOf(verdictNames[:], string(text))
	*v = Verdict(n)
	return err
}

// nameOf shows a number of a later version as such: records outlive the program
// that wrote them.
func nameOf(names []string, n int) string {
	if n < len(names) && names[n] != "" {
		return names[n]
	}
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func numberOf(names []string, name string) (int, error) {
	if name == "" {
		return 0, nil
	}
	for n, have := range names {
		if have == name {
			return n, nil
		}
	}
	n, err := strconv.ParseUint(name, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("audit: %q is not one of %v", name, names[1:])
	}
	return int(n), nil
}
