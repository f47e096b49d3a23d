package corpus

import (
	"strconv"
	"strings"
)

// passport draws the number of a passport of arg's country, or of any; or the
// two lines that a machine reads.
func (s *source) passport(arg string) string {
	if arg == "" {
		arg = s.format([]string{"us", "us", "uk", "de", "fr", "*in", "*ca", "*it", "*nl"})
	}
	switch arg {
	case "us":
		return s.format([]string{s.some(9, digits), s.some(1, "ABCDEFG") + s.some(8, digits)})
	case "uk":
		return s.some(9, digits)
	case "de":
		const letters = "CFGHJKLMNPRTVWXYZ0123456789"
		return s.some(1, "CFGHJK") + s.some(8, letters)
	case "fr":
		return s.some(2, digits) + s.some(2, upper) + s.some(5, digits)
	case "in":
		return s.some(1, "JKLMNPRSTUVZ") + s.some(7, digits)
	case "mrz":
		return s.machineReadable()
	}
	return s.some(2, upper) + s.some(map[string]int{"ca": 6, "it": 7, "nl": 7}[arg], digits)
}

// machineReadable draws the lines of a TD3 document (ICAO Doc 9303, part 4).
func (s *source) machineReadable() string {
	country := pick(s.Rand, []string{"GBR", "USA", "FRA", "ITA", "NLD"})
	name := strings.ToUpper(s.word("last") + "<<" + s.word("first"))
	first := "P<" + country + name
	first += strings.Repeat("<", 44-len(first))
	number, birth, expiry := s.some(9, digits), s.mask("7#0#1#"), s.mask("3#0#1#")
	second := number + icao(number) + country + birth + icao(birth) + s.some(1, "MF") + expiry + icao(expiry) + strings.Repeat("<", 14) + "0"
	second += icao(second[:10] + second[13:20] + second[21:43])
	return first + "\n" + second
}

// icao computes the check digit of ICAO Doc 9303, part 3.
func icao(field string) string {
	sum := 0
	for i := range len(field) {
		v := 0
		switch c := field[i]; {
		case c >= '0' && c <= '9':
			v = int(c - '0')
		case c >= 'A':
			v = int(c-'A') + 10
		}
		sum += v * [3]int{7, 3, 1}[i%3]
	}
	return strconv.Itoa(sum % 10)
}
