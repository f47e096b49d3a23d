package corpus

import (
	"fmt"
	"strconv"
)

// nrn draws a Belgian national register number of somebody born before 2000: the
// last two digits are 97 less the rest of the others by 97.
func (s *source) nrn(string) string {
	n := fmt.Sprintf("%02d%02d%02d%03d", s.between(40, 99), s.between(1, 12), s.between(1, 28), s.between(1, 997))
	value, _ := strconv.Atoi(n)
	n += fmt.Sprintf("%02d", 97-value%97)
	return place(s.format([]string{"xx.xx.xx-xxx.xx", "xx.xx.xx-xxx.xx", "*xxxxxxxxxxx", "*xx.xx.xx xxx-xx"}), n)
}

// ahv draws a Swiss social insurance number, which is an EAN-13 of 756.
func (s *source) ahv(string) string {
	n := "756" + s.some(9, digits)
	n += strconv.Itoa((10 - weighted(n, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3)%10) % 10)
	return place(s.format([]string{"xxx.xxxx.xxxx.xx", "xxx.xxxx.xxxx.xx", "*xxxxxxxxxxxxx", "*xxx xxxx xxxx xx"}), n)
}

// pan draws an Indian permanent account number: the fourth letter is the kind of
// holder, P for a person.
func (s *source) pan(string) string {
	return s.some(3, upper) + "P" + s.some(1, upper) + s.some(4, digits) + s.some(1, upper)
}

// tfn draws an Australian tax file number; its weighted sum is a multiple of 11.
func (s *source) tfn(string) string {
	for {
		n := s.mask("%########")
		if weighted(n, 1, 4, 3, 7, 5, 8, 6, 9, 10)%11 == 0 {
			return place(s.format([]string{"xxx xxx xxx", "xxxxxxxxx", "*xxx-xxx-xxx"}), n)
		}
	}
}

// rrn draws a Korean resident registration number, as given before October 2020.
func (s *source) rrn(string) string {
	n := fmt.Sprintf("%02d%02d%02d", s.between(40, 99), s.between(1, 12), s.between(1, 28)) + s.some(1, "12") + s.some(5, digits)
	n += strconv.Itoa((11 - weighted(n, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)%11) % 10)
	return place(s.format([]string{"xxxxxx-xxxxxxx", "xxxxxx-xxxxxxx", "*xxxxxxxxxxxxx"}), n)
}

// nric draws a Singaporean identity number of a citizen or a foreigner.
func (s *source) nric(string) string {
	n := s.some(7, digits)
	sum := weighted(n, 2, 7, 6, 5, 4, 3, 2)
	switch kind := s.some(1, "STFG"); kind {
	case "S":
		return kind + n + string("JZIHGFEDCBA"[sum%11])
	case "T":
		return kind + n + string("JZIHGFEDCBA"[(sum+4)%11])
	case "F":
		return kind + n + string("XWUTRQPNMLK"[sum%11])
	default:
		return kind + n + string("XWUTRQPNMLK"[(sum+4)%11])
	}
}
