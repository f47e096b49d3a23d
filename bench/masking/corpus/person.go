package corpus

import (
	"fmt"
	"strconv"
	"strings"
)

// ssn draws a US social security number that may have been issued: no area 000,
// 666 or 9xx, no group 00, no serial 0000.
func (s *source) ssn(string) string {
	area := s.between(1, 898)
	if area >= 666 {
		area++
	}
	f := s.format([]string{"%03d-%02d-%04d", "%03d-%02d-%04d", "*%03d %02d %04d", "*%03d%02d%04d"})
	return fmt.Sprintf(f, area, s.between(1, 99), s.between(1, 9999))
}

// nino draws a British National Insurance number (HMRC, NIM39110).
func (s *source) nino(string) string {
	const first, second = "ABCEGHJKLMNOPRSTWXYZ", "ABCEGHJKLMNPRSTWXYZ"
	prefix := "BG"
	for strings.Contains("BG GB NK KN TN NT ZZ", prefix) {
		prefix = s.some(1, first) + s.some(1, second)
	}
	return prefix + s.mask(s.format([]string{"######", " ## ## ## ", "* ###### "})) + s.some(1, "ABCD")
}

// nhs draws an NHS number: ten digits, the last by modulus 11.
func (s *source) nhs(string) string {
	for {
		n := "4" + s.some(8, digits)
		if check := (11 - weighted(n, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11) % 11; check != 10 {
			return place(s.format([]string{"xxx xxx xxxx", "xxxxxxxxxx", "*xxx-xxx-xxxx"}), n+strconv.Itoa(check))
		}
	}
}

// nif draws a Spanish DNI or NIE with its letter.
func (s *source) nif(string) string {
	const letters = "TRWAGMYFPDXBNJZSQVHLCKE"
	if s.IntN(3) == 0 {
		lead, rest := s.IntN(3), s.some(7, digits)
		number, _ := strconv.Atoi(strconv.Itoa(lead) + rest)
		return "XYZ"[lead:lead+1] + s.format([]string{"", "", "*-"}) + rest + s.format([]string{"", "-"}) + letters[number%23:number%23+1]
	}
	number := s.between(10000000, 79999999)
	layout := s.format([]string{"xxxxxxxx", "xxxxxxxx-", "*xx.xxx.xxx-", "*xxxxxxxx "})
	return place(layout, strconv.Itoa(number)) + letters[number%23:number%23+1]
}

// fiscalOdd are the values of characters at odd places of a codice fiscale
// (Decreto ministeriale 12 March 1974).
var fiscalOdd = [26]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}

func (s *source) fiscalCode(string) string {
	const consonants = "BCDFGLMNPRSTVZ"
	day := s.between(1, 28) + 40*s.IntN(2)
	code := s.some(6, consonants) + s.some(2, digits) + s.some(1, "ABCDEHLMPRST") + fmt.Sprintf("%02d", day) + s.some(1, "ABCDEFGHIL") + s.some(3, digits)
	sum := 0
	for i := range len(code) {
		v := strings.IndexByte(upper, code[i])
		if v < 0 {
			v = int(code[i] - '0')
		}
		if i%2 == 0 {
			v = fiscalOdd[v]
		}
		sum += v
	}
	code += upper[sum%26 : sum%26+1]
	if s.held && s.IntN(6) == 0 {
		return strings.ToLower(code)
	}
	return code
}

func (s *source) pesel(string) string {
	n := fmt.Sprintf("%02d%02d%02d", s.between(40, 99), s.between(1, 12), s.between(1, 28)) + s.some(4, digits)
	return n + strconv.Itoa((10-weighted(n, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3)%10)%10)
}

// bsn draws a Dutch citizen number, held to the test by eleven.
func (s *source) bsn(string) string {
	for {
		n := s.mask("%########")
		if (weighted(n, 9, 8, 7, 6, 5, 4, 3, 2)-int(n[8]-'0'))%11 == 0 {
			return place(s.format([]string{"xxxxxxxxx", "*xxxx.xx.xxx", "*xxx xxx xxx"}), n)
		}
	}
}

// taxID draws a German tax number for persons: among its first ten digits exactly
// one comes twice, the others once or not at all.
func (s *source) taxID(string) string {
	order := s.Perm(10)
	order[s.between(5, 9)] = order[s.IntN(5)]
	if order[0] == 0 {
		order[0] = 11 - order[1]%2 - 2 // 8 or 9; may break the rule, which is tried again
	}
	var b strings.Builder
	var seen [10]int
	for _, d := range order {
		seen[d]++
		b.WriteString(strconv.Itoa(d))
	}
	twice := 0
	for _, n := range seen {
		if n > 2 {
			return s.taxID("")
		}
		twice += n / 2
	}
	if twice != 1 {
		return s.taxID("")
	}
	return place(s.format([]string{"xxxxxxxxxxx", "xx xxx xxx xxx", "*xx/xxx/xxx/xxx"}), b.String()+mod1110(b.String()))
}

func (s *source) aadhaar(string) string {
	n := s.mask("%##########")
	return place(s.format([]string{"xxxx xxxx xxxx", "xxxxxxxxxxxx", "*xxxx-xxxx-xxxx"}), n+verhoeff(n))
}

func (s *source) cpf(string) string {
	n := s.some(9, digits)
	for first := 10; first <= 11; first++ {
		sum := 0
		for i := range len(n) {
			sum += int(n[i]-'0') * (first - i)
		}
		n += strconv.Itoa(sum * 10 % 11 % 10)
	}
	return place(s.format([]string{"xxx.xxx.xxx-xx", "xxx.xxx.xxx-xx", "*xxxxxxxxxxx"}), n)
}

// nir draws a French social security number with its key.
func (s *source) nir(string) string {
	n := s.some(1, "12") + fmt.Sprintf("%02d%02d%02d", s.between(40, 99), s.between(1, 12), s.between(1, 95)) + s.some(6, digits)
	value, _ := strconv.Atoi(n)
	n += fmt.Sprintf("%02d", 97-value%97)
	return place(s.format([]string{"x xx xx xx xxx xxx xx", "xxxxxxxxxxxxxxx", "*x xx xx xx xxx xxx / xx"}), n)
}

func (s *source) personnummer(string) string {
	date := fmt.Sprintf("%02d%02d%02d", s.between(40, 99), s.between(1, 12), s.between(1, 28))
	serial := s.some(3, digits)
	number := date + "-" + serial + luhn(date+serial)
	return s.format([]string{"", "*19"}) + number
}

func (s *source) sin(string) string {
	n := s.some(1, "1234567") + s.some(7, digits)
	return place(s.format([]string{"xxx xxx xxx", "xxx-xxx-xxx", "*xxxxxxxxx"}), n+luhn(n))
}
